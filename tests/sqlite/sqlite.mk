# SQLite's own shell as it was in other years: what publishers on old hosts have, and the newest kind. The npm package
# sqlite3 carries the sources; nothing of it is installed, and none of its scripts runs.
#
# The oldest that is supported (CentOS 7), one without UPSERT, the first with it, and one whose shell is strict by itself
# (defensive, trusted_schema off).

SQLITE_VERSIONS := 3.7.17 3.15.0 3.24.0 3.52.0
SQLITES := $(SQLITE_VERSIONS:%=$(BUILD)/sqlite/%/sqlite3)

# The npm package's version, the name of the archive in it, and the archive's SHA-256.
SQLITE_PACKAGE_3.7.17 := 2.1.19 3071700 8ff46d0baa9e64c0815544e829e985f1161c096aa6344c8f430791dbeadc2baf
SQLITE_PACKAGE_3.15.0 := 3.1.13 3150000 77162da9b4a0336d7e77d5252b690662850f62b47c12d9125f74ab9de78ded27
SQLITE_PACKAGE_3.24.0 := 4.0.2 3240000 d9d14e88c6fb6d68de9ca0d1f9797477d82fc3aed613558f87ffbdbbc5ceb74a
SQLITE_PACKAGE_3.52.0 := 6.0.1 3520000 f6b50b0c103392af32a8be15b2b9d25959de9a00a70c3979128aafeaa5338b3f

$(BUILD)/sqlite/%/sqlite3: tests/sqlite/build.sh
	$(call say,SQLITE,$*)
	$(Q)sh tests/sqlite/build.sh $(@D) $(SQLITE_PACKAGE_$*)

.PHONY: sqlites
## sqlites: SQLite's shells of other years
sqlites: $(SQLITES)

integration integration-san integration-valgrind: $(SQLITES)
