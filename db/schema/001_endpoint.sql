-- SPDX-License-Identifier: GPL-2.0-or-later
-- Who gets the webhooks: one row an HTTP receiver.
CREATE TABLE IF NOT EXISTS version (
    id {serial},
    table_name VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
){table};

CREATE TABLE IF NOT EXISTS callhook_endpoint (
    id VARCHAR(63) PRIMARY KEY NOT NULL,
    url VARCHAR(1023) NOT NULL,
    secret VARCHAR(128) NOT NULL,
    events VARCHAR(511) DEFAULT '*' NOT NULL,
    enabled INTEGER DEFAULT 1 NOT NULL,
    timeout_ms INTEGER DEFAULT 0 NOT NULL,
    concurrency INTEGER DEFAULT 8 NOT NULL,
    description VARCHAR(255) DEFAULT '' NOT NULL
){table};

INSERT {ignore} INTO version (table_name, table_version) VALUES ('callhook_endpoint', 1);
