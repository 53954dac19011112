"""No secret is in a name that people see, whatever the maker; what tells two channels apart is."""

from __future__ import annotations

import pytest

from pipeline.private.names import HIDDEN, is_secretive, public_name, scrubbed, secrets_of, unquoted

S = "c4n4ry"
CAMERAS = {
    "Dahua, Amcrest": (f"rtsp://admin:{S}@cam:554/cam/realmonitor?channel=1&subtype=0",
                       "rtsp://cam:554/cam/realmonitor?channel=1&subtype=0"),
    "Dahua, in the query": (f"rtsp://cam/cam/realmonitor?channel=2&subtype=1&user=a&password={S}",
                            "rtsp://cam/cam/realmonitor?channel=2&subtype=1"),
    "Hikvision": (f"rtsp://admin:{S}@cam/Streaming/Channels/101?transportmode=unicast",
                  "rtsp://cam/Streaming/Channels/101?transportmode=unicast"),
    "Hikvision, auth": (f"rtsp://cam/Streaming/Channels/102?auth={S}=", "rtsp://cam/Streaming/Channels/102"),
    "Axis": (f"rtsp://cam/axis-media/media.amp?videocodec=h264&camera=1&user=root&pwd={S}",
             "rtsp://cam/axis-media/media.amp?videocodec=h264&camera=1"),
    "Reolink": (f"rtsp://cam:554/h264Preview_01_main?user=admin&password={S}", "rtsp://cam:554/h264Preview_01_main"),
    "Reolink, flv": (f"rtmp://cam/bcs/channel0_main.bcs?channel=0&stream=0&user=admin&password={S}",
                     "rtmp://cam/bcs/channel0_main.bcs?channel=0&stream=0"),
    "Foscam": (f"rtsp://cam:88/videoMain?usr=admin&pwd={S}", "rtsp://cam:88/videoMain"),
    "Vstarcam": (f"rtsp://cam/av0_0&user=admin&password={S}", "rtsp://cam/av0_0"),
    "Xiongmai": (f"rtsp://cam/user=admin_password={S}_channel=1_stream=0.sdp?real_stream",
                 "rtsp://cam/channel=1&stream=0.sdp"),
    "Xiongmai, &": (f"rtsp://cam/user=admin&password={S}&channel=3&stream=1.sdp?", "rtsp://cam/channel=3&stream=1.sdp"),
    "Xiongmai, encoded": (f"rtsp://cam/user%3Dadmin%5Fpassword%3D{S}%5Fchannel%3D1%5Fstream%3D0.sdp",
                          "rtsp://cam/channel=1&stream=0.sdp"),
    "TP-Link Tapo": (f"rtsp://user:{S}@cam/stream1", "rtsp://cam/stream1"),
    "Uniview": (f"rtsp://admin:{S}@cam/unicast/c1/s0/live", "rtsp://cam/unicast/c1/s0/live"),
    "Ubiquiti": ("rtsps://cam:7441/aBc4eFgHiJk1mNoP?enableSrtp", f"rtsps://cam:7441/{HIDDEN}"),
    "Zosi, Annke": (f"rtsp://cam/0/admin:{S}/main", f"rtsp://cam/0/{HIDDEN}/main"),
    "a path of user and password": (f"rtsp://cam/live/bob/{S}/", f"rtsp://cam/live/{HIDDEN}/{HIDDEN}/"),
    "and a channel": (f"rtsp://cam/live/bob/{S}/ch1", f"rtsp://cam/live/{HIDDEN}/{HIDDEN}/ch1"),
    "a default user": (f"rtsp://cam/admin/{S}/2", f"rtsp://cam/{HIDDEN}/{HIDDEN}/2"),
    "a token in the path": (f"rtsp://cam/token/{S}", f"rtsp://cam/token/{HIDDEN}"),
    "a token": (f"rtsp://server/out?token={S}", "rtsp://server/out"),
    "a fragment": (f"rtsp://cam/live#{S}", "rtsp://cam/live"),
}  # fmt: skip
ODD = {
    "a raw @": (f"rtsp://admin:a@{S}@cam/live", "rtsp://cam/live"),
    "a raw /": (f"rtsp://admin:a/{S}@cam/live", "rtsp://cam/live"),
    "a raw #": (f"rtsp://admin:a#{S}@cam/live", "rtsp://cam/live"),
    "a raw ?": (f"rtsp://admin:a?{S}@cam/live", "rtsp://cam/live"),
    "digits before a raw /": (f"rtsp://admin:1/{S}@cam/live", f"rtsp://{HIDDEN}"),
    "a user alone": (f"rtsp://{S}@cam/live", "rtsp://cam/live"),
    "an address as user": (f"rtsp://cam/live?user=a@b.c&password=x@{S}&channel=3", "rtsp://cam/live?channel=3"),
    "the password again": (f"rtsp://me:{S}@cam/{S}/live", f"rtsp://cam/{HIDDEN}/live"),
    "one slash": (f"rtsp:/admin:{S}@cam/live", "rtsp://cam/live"),
    "no slash": (f"rtsp:admin:{S}@cam/live", "rtsp://cam/live"),
    "no scheme": (f"admin:{S}@cam/live", "rtsp://cam/live"),
    "capitals": (f"RTSP://me:{S}@cam/live", "RTSP://cam/live"),
    "a value that is none of a channel": (f"rtsp://cam/live?channel={S * 4}", "rtsp://cam/live"),
    "encoded twice": (f"rtsp://cam/p%2561ssword%253D{S}%2526channel%253D4", "rtsp://cam/channel=4"),
    "a broker": (f"kafka://b1:9092,b2:9092?sasl_plain_password={S}", "kafka://b1:9092,b2:9092"),
    "after a semicolon": (f"rtsp://cam/live;password={S}", "rtsp://cam/live"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "shown"), [*CAMERAS.values(), *ODD.values()], ids=[*CAMERAS, *ODD])
def test_no_secret_is_shown(source: str, shown: str) -> None:
    assert public_name(source) == shown
    assert public_name(shown) == shown  # it may be given to it again
    assert S not in shown


@pytest.mark.parametrize(
    "source",
    [
        "clips/a.mp4",
        "clips/a@b?c.mp4",
        "C:\\clips\\a.mp4",
        "12:30:00.mp4",
        "a:b.mp4",
        "/dev/video0",
        "/srv/a:b@c/d.mp4",
    ],
)
def test_a_file_keeps_its_name(source: str) -> None:
    assert public_name(source) == source and not is_secretive(source) and not secrets_of(source)


@pytest.mark.parametrize(
    "source",
    ["rtsp://cam", "rtsp://cam/door/1", "rtsp://[fe80::1%25eth0]:554/live", "rtsp://cam/videoinput_1:0/h264_1/onvif.stm",
     "rtsp://cam/h264/ch1/main/av_stream", "rtsp://cam/live/main/0/x", "kafka://b1:9092,b2:9092"],
)  # fmt: skip
def test_what_hides_nothing_is_shown_whole(source: str) -> None:
    assert public_name(source) == source


@pytest.mark.parametrize(
    "source", [source for source, _ in [*CAMERAS.values(), *ODD.values()] if S in source and S * 2 not in source]
)
def test_texts_of_others_are_scrubbed(source: str) -> None:
    """What FFmpeg, a shell or a traceback say of it: the whole, a part, or a word."""
    texts = (f"Connection to {source} failed", f"server said: bad login '{S}'", f"['{source}']", f"{source[7:]}: 401")

    assert all(S not in scrubbed(text, source) for text in texts)


def test_urls_in_texts_need_no_source() -> None:
    assert scrubbed(f"-o 'rtsp://me:{S}@out/live?token={S}', b.mp4") == "-o 'rtsp://out/live', b.mp4"


def test_short_words_stay_readable() -> None:
    assert scrubbed("an error in a line", "rtsp://a:in@cam/live") == "an error in a line"


def test_encoding_is_taken_off_but_not_for_ever() -> None:
    assert unquoted("%253D") == "=" and unquoted("%" + "25" * 50 + "41") != "A"
