-- A library as version 1 wrote it: two LoRAs, three files, a refusal.
PRAGMA journal_mode = WAL;
CREATE TABLE loras (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, base_model TEXT NOT NULL,
  family TEXT NOT NULL, format TEXT NOT NULL, tier TEXT NOT NULL, dtype TEXT NOT NULL,
  rank_min INTEGER NOT NULL, rank_median REAL NOT NULL, rank_max INTEGER NOT NULL,
  modules_mapped INTEGER NOT NULL, modules_total INTEGER NOT NULL,
  unmapped INTEGER NOT NULL, dead INTEGER NOT NULL, norm REAL NOT NULL,
  warnings TEXT NOT NULL, tags TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE paths (
  path TEXT PRIMARY KEY, key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  missing INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX paths_of_lora ON paths(key);
CREATE INDEX missing_paths ON paths(key) WHERE missing;
CREATE TABLE vectors (
  space TEXT NOT NULL, key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  vector BLOB NOT NULL, UNIQUE (space, key)
);
CREATE INDEX vectors_of_lora ON vectors(key);
CREATE TABLE refused (
  path TEXT PRIMARY KEY, reason TEXT NOT NULL, hint TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1279934808;
PRAGMA user_version = 1;
INSERT INTO loras VALUES ('k1', 'ink', 'sd15', 'lora', 'kohya', 'exact', 'F16', 4, 8.0, 8, 264, 264, 0, 1, 2.5, '[]', '["水墨"]');
INSERT INTO loras VALUES ('k2', 'oil', 'sd15', 'lora', 'kohya', 'exact', 'F16', 8, 8.0, 8, 264, 264, 0, 0, 1.5, '["odd"]', '[]');
INSERT INTO paths VALUES ('/a/ink.safetensors', 'k1', 10, 20, 30, 0);
INSERT INTO paths VALUES ('/b/ink.safetensors', 'k1', 10, 20, 31, 0);
INSERT INTO paths VALUES ('/b/oil.safetensors', 'k2', 11, 21, 32, 1);
INSERT INTO vectors VALUES ('sd15:base-space-1:none', 'k2', X'000000000000803F');
INSERT INTO vectors VALUES ('sd15:base-space-1:none', 'k1', X'0000803F00000000');
INSERT INTO refused VALUES ('/c', 'truncated', 'copy it again');
INSERT INTO meta VALUES ('space:sd15', 'sd15:base-space-1:none');
INSERT INTO meta VALUES ('revision', '2');
