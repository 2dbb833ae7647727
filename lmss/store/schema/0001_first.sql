-- Columns are what lookups and lists go by; the rest is in data: of call records as lmss/cdr writes
-- them, of others as JSON. Times are Unix nanoseconds.

CREATE TABLE users (
	name TEXT PRIMARY KEY,
	data TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE bindings (
	aor     TEXT NOT NULL,
	uri     TEXT NOT NULL,
	expires INTEGER NOT NULL,
	data    TEXT NOT NULL,
	PRIMARY KEY (aor, uri)
) WITHOUT ROWID;

-- Calls that are up. data belongs to call control; cdr is the open record.
CREATE TABLE calls (
	id   TEXT PRIMARY KEY,
	data BLOB NOT NULL,
	cdr  BLOB NOT NULL
);

CREATE TABLE cdrs (
	id       TEXT PRIMARY KEY,
	setup_at INTEGER NOT NULL,
	caller   TEXT NOT NULL,
	called   TEXT NOT NULL,
	callee   TEXT NOT NULL,
	class    TEXT NOT NULL,
	data     BLOB NOT NULL
);
CREATE INDEX cdrs_by_setup ON cdrs (setup_at);

-- Who changed what. hash is SHA-256 over the entry and the hash before it.
CREATE TABLE audit (
	seq    INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL,
	who    TEXT NOT NULL,
	what   TEXT NOT NULL,
	before TEXT NOT NULL,
	after  TEXT NOT NULL,
	hash   BLOB NOT NULL
);

CREATE TABLE settings (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;
