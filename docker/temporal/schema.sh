#!/bin/sh
# Brings Temporal's two databases to the schema of this release. Does nothing when they have it.
set -eu

versions=/etc/temporal/schema/postgresql/v12

bring_up() {
    temporal-sql-tool --database "$1" create-database
    temporal-sql-tool --database "$1" setup-schema --version 0.0
    temporal-sql-tool --database "$1" update-schema --schema-dir "$versions/$2/versioned"
}

bring_up temporal temporal
bring_up temporal_visibility visibility
