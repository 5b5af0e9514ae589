#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# embed-schema.sh FILE...: a C source with these migrations, for modules/common/db_schema.h. NNN_name.sql; those in a folder routing/ are
# the second set.
set -euo pipefail
export LC_ALL=C

echo '/* SPDX-License-Identifier: GPL-2.0-or-later */'
echo '/* Made by the build from db/schema. */'
echo '#include "db_schema.h"'
echo
echo 'const struct sb_schema_file sb_schema_files[] = {'
for f in "$@"; do
	name=${f##*/}
	name=${name%.sql}
	[[ $name =~ ^([0-9]{3})_[a-z0-9_]+$ ]] || { echo "$f: expected a name like 001_endpoint.sql" >&2; exit 1; }
	routing=false
	[[ $f != */routing/* ]] || routing=true
	echo "		{\"$name\", $((10#${BASH_REMATCH[1]})), $routing,"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/				"/' -e 's/$/\\n"/' "$f"
	echo '		},'
done
echo '};'
echo 'const unsigned sb_schema_file_count = sizeof(sb_schema_files) / sizeof(sb_schema_files[0]);'
