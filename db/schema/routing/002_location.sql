-- SPDX-License-Identifier: GPL-2.0-or-later
-- Registrations as Kamailio's usrloc keeps them over a restart (table version 9).
CREATE TABLE IF NOT EXISTS location (
    id {serial},
    ruid VARCHAR(64) DEFAULT '' NOT NULL,
    username VARCHAR(64) DEFAULT '' NOT NULL,
    domain VARCHAR(64) DEFAULT NULL,
    contact VARCHAR(512) DEFAULT '' NOT NULL,
    received VARCHAR(128) DEFAULT NULL,
    path VARCHAR(512) DEFAULT NULL,
    expires {seconds} DEFAULT '2030-05-28 21:32:15' NOT NULL,
    q {real} DEFAULT 1.0 NOT NULL,
    callid VARCHAR(255) DEFAULT 'Default-Call-ID' NOT NULL,
    cseq INTEGER DEFAULT 1 NOT NULL,
    last_modified {seconds} DEFAULT '2000-01-01 00:00:01' NOT NULL,
    flags INTEGER DEFAULT 0 NOT NULL,
    cflags INTEGER DEFAULT 0 NOT NULL,
    user_agent VARCHAR(255) DEFAULT '' NOT NULL,
    socket VARCHAR(64) DEFAULT NULL,
    methods INTEGER DEFAULT NULL,
    instance VARCHAR(255) DEFAULT NULL,
    reg_id INTEGER DEFAULT 0 NOT NULL,
    server_id INTEGER DEFAULT 0 NOT NULL,
    connection_id INTEGER DEFAULT 0 NOT NULL,
    keepalive INTEGER DEFAULT 0 NOT NULL,
    `partition` INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT ruid_idx UNIQUE (ruid)
){table};

CREATE INDEX IF NOT EXISTS account_contact_idx ON location (username, domain, contact);
CREATE INDEX IF NOT EXISTS expires_idx ON location (expires);

INSERT {ignore} INTO version (table_name, table_version) VALUES ('location', 9);
