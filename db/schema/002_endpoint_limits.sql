-- SPDX-License-Identifier: GPL-2.0-or-later
-- Which trunks' and DIDs' calls an endpoint wants, which inner addresses it may have, how fast it is sent to, and its TLS.
ALTER TABLE callhook_endpoint ADD COLUMN {new} trunks VARCHAR(511) DEFAULT '*' NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} dids VARCHAR(511) DEFAULT '*' NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} allow_addresses VARCHAR(511) DEFAULT '' NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} rate_limit INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} ca_file VARCHAR(255) DEFAULT '' NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} cert_file VARCHAR(255) DEFAULT '' NOT NULL;
ALTER TABLE callhook_endpoint ADD COLUMN {new} key_file VARCHAR(255) DEFAULT '' NOT NULL;

UPDATE version SET table_version = 2 WHERE table_name = 'callhook_endpoint';
