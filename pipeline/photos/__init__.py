"""Photos: looked at and covered by the steps of a config, as single frames that have to be right at once."""
