# make deb: the Debian packages; see deploy/packaging/README.md.

DEB := $(BUILD)/deb
DEB_SOURCE := $(DEB)/rowtail-$(VERSION)
DEB_DATE = $(shell git log -1 --format=%cD 2>/dev/null || date -R)

.PHONY: deb deb-test

# dpkg-buildpackage works in a copy of the source that has debian/ at its top, in a place whose path has no spaces: its
# compiler options name the path. Debian 11 has no llhttp; the packages there are without --http.
## deb: the Debian packages, in build/deb
deb:
	rm -rf $(DEB)
	mkdir -p $(DEB_SOURCE)
	tar -cf - --exclude=__pycache__ Makefile LICENSE README.md CHANGES.md fcgi schema deploy $(wildcard tests/*/*.mk) | \
		tar -xf - --no-same-owner -C $(DEB_SOURCE)
	cp -R deploy/packaging/debian $(DEB_SOURCE)/debian
	cp LICENSE $(DEB_SOURCE)/debian/copyright
	$(if $(filter -DROWTAIL_LLHTTP,$(CPPFLAGS)),,sed -i /llhttp/d $(DEB_SOURCE)/debian/control)
	printf 'rowtail (%s) unstable; urgency=medium\n\n  * See CHANGES.md.\n\n -- The rowtail authors <rowtail@localhost.localdomain>  %s\n' \
		'$(VERSION)' '$(DEB_DATE)' >$(DEB_SOURCE)/debian/changelog
	chmod -R u+w,go+rX,go-w $(DEB_SOURCE)
	umask 022 && here=$$(cd $(DEB) && pwd) && place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && \
		mv $(DEB_SOURCE) "$$place/source" && cd "$$place/source" && \
		{ env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL ROWTAIL_COMMIT='$(COMMIT)' dpkg-buildpackage -b -us -uc >"$$here/build.log" 2>&1 || \
			{ tail -40 "$$here/build.log"; exit 1; }; } && \
		mv "$$place"/*.deb "$$place"/*.buildinfo "$$place"/*.changes "$$here/"
	@ls $(DEB)/*.deb

## deb-test: the Debian package, installed, upgraded and purged; the container
deb-test: all deb portable
	$(PYTEST) tests/packages
