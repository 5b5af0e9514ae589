-- SPDX-License-Identifier: GPL-2.0-or-later
-- The table that callhook reads at start. Can be run again: what is there stays.
CREATE TABLE IF NOT EXISTS version (
    id INTEGER PRIMARY KEY NOT NULL,
    table_name VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
);

-- One row an HTTP receiver. A new one, its secret made on the spot (printed by the statement, to be given to the receiver):
--   INSERT INTO callhook_endpoint (id, url, secret)
--   VALUES ('crm', 'https://crm.example.com/signalbox', 'whsec_<output of: openssl rand -base64 32>') RETURNING secret;
CREATE TABLE IF NOT EXISTS callhook_endpoint (
    id VARCHAR(63) PRIMARY KEY NOT NULL,
    url VARCHAR(1023) NOT NULL,
    secret VARCHAR(128) NOT NULL,
    events VARCHAR(511) DEFAULT '*' NOT NULL,
    enabled INTEGER DEFAULT 1 NOT NULL,
    timeout_ms INTEGER DEFAULT 0 NOT NULL,
    concurrency INTEGER DEFAULT 8 NOT NULL,
    description VARCHAR(255) DEFAULT '' NOT NULL
);

INSERT OR IGNORE INTO version (table_name, table_version) VALUES ('callhook_endpoint', 1);
