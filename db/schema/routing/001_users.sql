-- SPDX-License-Identifier: GPL-2.0-or-later
-- Users, in Kamailio's own table (version 7): kamctl and other tools write it as they always did.
CREATE TABLE IF NOT EXISTS version (
    id {serial},
    table_name VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
){table};

CREATE TABLE IF NOT EXISTS subscriber (
    id {serial},
    username VARCHAR(64) DEFAULT '' NOT NULL,
    domain VARCHAR(64) DEFAULT '' NOT NULL,
    password VARCHAR(64) DEFAULT '' NOT NULL,
    ha1 VARCHAR(128) DEFAULT '' NOT NULL,
    ha1b VARCHAR(128) DEFAULT '' NOT NULL,
    CONSTRAINT subscriber_account_idx UNIQUE (username, domain)
){table};

INSERT {ignore} INTO version (table_name, table_version) VALUES ('subscriber', 7);

-- One row a user as the script keeps them in memory: user@domain and H(username:realm:password).
CREATE VIEW IF NOT EXISTS routing_credential (user, ha1) AS
    SELECT {join(username, '@', domain)}, ha1 FROM subscriber WHERE ha1 <> '';
