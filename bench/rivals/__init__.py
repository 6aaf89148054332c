"""One file a rival: how it is started, with its best fair settings and why they are that."""
