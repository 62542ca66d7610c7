"""The tables of a library file, version by version."""

SCHEMA_VERSION = 4

_VERSION_2 = """
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
"""

# Labels of LoRAs that went, by what they hold: there is no row of theirs to refer to.
_FROM_2 = """
CREATE TABLE kept_labels (
  key TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL,
  confidence REAL, PRIMARY KEY (key, field, value, source)
) WITHOUT ROWID;
"""

# Every file's own tags. Of several files nobody knows whose they were: all of them have
# them until they are read again.
TAGS_OF_LORAS = """
UPDATE paths SET tags = COALESCE(
  (SELECT tags FROM loras WHERE loras.key = paths.key), '[]'
);
"""
_FROM_3 = f"""
ALTER TABLE paths ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
{TAGS_OF_LORAS}
"""

TABLES = _VERSION_2 + _FROM_2 + _FROM_3

# What version 1 kept of a file is kept; description 0 has every file read once more.
_FROM_1 = (
    """
ALTER TABLE loras RENAME TO old_loras;
ALTER TABLE paths RENAME TO old_paths;
ALTER TABLE vectors RENAME TO old_vectors;
ALTER TABLE refused RENAME TO old_refused;
ALTER TABLE meta RENAME TO old_meta;
DROP INDEX paths_of_lora;
DROP INDEX missing_paths;
DROP INDEX vectors_of_lora;
"""
    + _VERSION_2
    + """
INSERT INTO loras (
  key, name, base_model, family, format, tier, dtype, rank_min, rank_median, rank_max,
  modules_mapped, modules_total, unmapped, dead, norm, fingerprint, warnings, tags,
  description
) SELECT
  key, name, base_model, family, format, tier, dtype, rank_min, rank_median, rank_max,
  modules_mapped, modules_total, unmapped, dead, norm, '', warnings, tags, 0
FROM old_loras;
INSERT INTO paths SELECT path, key, size, mtime_ns, inode, missing, '', '{}', '', ''
FROM old_paths;
INSERT INTO vectors (space, key, vector)
SELECT space, key, vector FROM old_vectors ORDER BY rowid;
INSERT INTO refused SELECT path, reason, hint, 0, 0, 0, '', ''
FROM old_refused;
INSERT INTO meta SELECT key, value FROM old_meta;
INSERT INTO texts (rowid, name, tags, words, path)
SELECT loras.id, loras.name, loras.tags, '', COALESCE(GROUP_CONCAT(path, ' '), '')
FROM loras LEFT JOIN paths USING (key) GROUP BY loras.id;
DROP TABLE old_paths;
DROP TABLE old_vectors;
DROP TABLE old_loras;
DROP TABLE old_refused;
DROP TABLE old_meta;
"""
)

# Version → the statements that make the next one of it.
MIGRATIONS = {1: _FROM_1, 2: _FROM_2, 3: _FROM_3}
