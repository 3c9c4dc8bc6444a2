-- Portable between SQLite and PostgreSQL: ids are text, times are integer milliseconds since the Unix epoch.
CREATE TABLE meetings (
    id            TEXT   NOT NULL PRIMARY KEY,
    created_at_ms BIGINT NOT NULL,
    -- The user name of whoever joined an unknown meeting first; null when it was made without a name.
    created_by    TEXT
);
