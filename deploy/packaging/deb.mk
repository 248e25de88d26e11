# make deb: the Debian packages; see deploy/packaging/README.md.

DEB := $(BUILD)/deb
DEB_DATE = $(shell git log -1 --format=%cD 2>/dev/null || date -R)

.PHONY: deb deb-test

# dpkg-buildpackage works in a copy of the source that has debian/ at its top.
## deb: the Debian packages, in build/deb
deb:
	rm -rf $(DEB)
	mkdir -p $(DEB)/rowtail-$(VERSION)
	cp -R Makefile LICENSE README.md CHANGES.md fcgi schema deploy tests $(DEB)/rowtail-$(VERSION)/
	rm -rf $(DEB)/rowtail-$(VERSION)/tests/browser/node_modules $(DEB)/rowtail-$(VERSION)/tests/bench/node_modules
	cp -R deploy/packaging/debian $(DEB)/rowtail-$(VERSION)/debian
	cp LICENSE $(DEB)/rowtail-$(VERSION)/debian/copyright
	printf 'rowtail (%s) unstable; urgency=medium\n\n  * See CHANGES.md.\n\n -- The rowtail authors <rowtail@localhost.localdomain>  %s\n' \
		'$(VERSION)' '$(DEB_DATE)' >$(DEB)/rowtail-$(VERSION)/debian/changelog
	cd $(DEB)/rowtail-$(VERSION) && env -u MAKEFLAGS -u MFLAGS dpkg-buildpackage -b -us -uc >../build.log 2>&1 || \
		{ tail -40 ../build.log; exit 1; }
	rm -rf $(DEB)/rowtail-$(VERSION)
	@ls $(DEB)/*.deb

## deb-test: the Debian package, installed, upgraded and purged; the container
deb-test: deb portable
	$(PYTEST) tests/packages
