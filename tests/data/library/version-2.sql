-- A library as version 2 wrote it: two LoRAs, three files, a label.
PRAGMA journal_mode = WAL;
CREATE TABLE loras (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL, base_model TEXT NOT NULL,
  family TEXT NOT NULL, format TEXT NOT NULL, tier TEXT NOT NULL, dtype TEXT NOT NULL,
  rank_min INTEGER NOT NULL, rank_median REAL NOT NULL, rank_max INTEGER NOT NULL,
  modules_mapped INTEGER NOT NULL, modules_total INTEGER NOT NULL,
  unmapped INTEGER NOT NULL, dead INTEGER NOT NULL, norm REAL,
  fingerprint TEXT NOT NULL, warnings TEXT NOT NULL, tags TEXT NOT NULL,
  description INTEGER NOT NULL
);
CREATE INDEX loras_of_base ON loras(base_model);
CREATE TABLE paths (
  path TEXT PRIMARY KEY, key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  missing INTEGER NOT NULL DEFAULT 0,
  header TEXT NOT NULL, told TEXT NOT NULL,
  config TEXT NOT NULL, beside TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX paths_of_lora ON paths(key);
CREATE INDEX missing_paths ON paths(key) WHERE missing;
CREATE TABLE vectors (
  id INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT NOT NULL,
  key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  vector BLOB NOT NULL, UNIQUE (space, key)
);
CREATE INDEX vectors_of_lora ON vectors(key);
CREATE TABLE waiting (
  path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL, name TEXT NOT NULL, base_model TEXT NOT NULL,
  format TEXT NOT NULL, family TEXT NOT NULL, modules_total INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE refused (
  path TEXT PRIMARY KEY, reason TEXT NOT NULL, hint TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  config TEXT NOT NULL, version TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE labels (
  key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE, field TEXT NOT NULL,
  value TEXT NOT NULL, source TEXT NOT NULL, confidence REAL,
  PRIMARY KEY (key, field, value, source)
) WITHOUT ROWID;
CREATE INDEX labels_by_value ON labels(field, value);
CREATE VIRTUAL TABLE texts USING fts5(
  name, tags, words, path, tokenize = 'trigram'
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1279934808;
PRAGMA user_version = 2;
INSERT INTO loras VALUES (1, 'k1', 'ink', 'sd15', 'lora', 'kohya', 'exact', 'F16', 4, 8.0, 8, 264, 264, 0, 1, 2.5, '', '[]', '["水墨"]', 1);
INSERT INTO loras VALUES (2, 'k2', 'oil', 'sd15', 'lora', 'kohya', 'exact', 'F16', 8, 8.0, 8, 264, 264, 0, 0, 1.5, '', '["odd"]', '["oil", "thick"]', 1);
INSERT INTO paths VALUES ('/a/ink.safetensors', 'k1', 10, 20, 30, 0, 'h', '{"title": "Ink"}', '', '');
INSERT INTO paths VALUES ('/b/oil.safetensors', 'k2', 11, 21, 32, 0, 'h', '{}', '', '');
INSERT INTO paths VALUES ('/c/oil.safetensors', 'k2', 11, 21, 33, 1, 'h', '{}', '', '');
INSERT INTO vectors VALUES (1, 'sd15:base-space-2:none', 'k1', X'0000803F00000000');
INSERT INTO labels VALUES ('k1', 'style', 'wash', 'person', NULL);
INSERT INTO texts (rowid, name, tags, words, path) VALUES (1, 'ink', '水墨', 'Ink', '/a/ink.safetensors');
INSERT INTO texts (rowid, name, tags, words, path) VALUES (2, 'oil', 'oil', '', '/b/oil.safetensors');
INSERT INTO meta VALUES ('space:sd15', 'sd15:base-space-2:none');
