package servercert_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/servercert"
	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

var office = netip.MustParseAddr("192.0.2.1")

// operator is somebody who keeps a pair in two files.
type operator struct {
	t         *testing.T
	authority *servercerttest.Authority
	files     servercert.Files
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	authority, err := servercerttest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := &operator{t: t, authority: authority, files: servercert.Files{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
	o.renew(servercerttest.Server{Addresses: []netip.Addr{office}})
	return o
}

func (o *operator) renew(s servercerttest.Server) {
	o.t.Helper()
	if err := o.authority.Write(o.files.Certificate, o.files.Key, s); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) issue(s servercerttest.Server) (certificate, key []byte) {
	o.t.Helper()
	certificate, key, err := o.authority.Issue(s)
	if err != nil {
		o.t.Fatal(err)
	}
	return certificate, key
}

func (o *operator) write(path string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) read() *servercert.Pair {
	o.t.Helper()
	pair, err := o.files.Read()
	if err != nil {
		o.t.Fatal(err)
	}
	return pair
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	_, foreign := newOperator(t).issue(servercerttest.Server{})
	for _, tc := range []struct {
		name  string
		spoil func(o *operator)
		kind  fault.Kind
		file  func(f servercert.Files) string
		says  string
	}{
		{"no certificate file", func(o *operator) { _ = os.Remove(o.files.Certificate) }, fault.NotFound, certificateOf, "no such file"},
		{"no key file", func(o *operator) { _ = os.Remove(o.files.Key) }, fault.NotFound, keyOf, "no such file"},
		{"a folder", func(o *operator) { o.files.Key = filepath.Dir(o.files.Key) }, fault.Unavailable, keyOf, "is a directory"},
		{"empty certificate", func(o *operator) { o.write(o.files.Certificate, nil) }, fault.Invalid, certificateOf, "BEGIN CERTIFICATE"},
		{"not a certificate", func(o *operator) {
			o.write(o.files.Certificate, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, fault.Invalid, certificateOf, "x509"},
		{"no key", func(o *operator) { o.write(o.files.Key, []byte("hello")) }, fault.Invalid, keyOf, "BEGIN PRIVATE KEY"},
		{"another key", func(o *operator) { o.write(o.files.Key, foreign) }, fault.Invalid, keyOf, "it must be the key for which"},
		{"swapped", func(o *operator) { o.files.Key, o.files.Certificate = o.files.Certificate, o.files.Key }, fault.Invalid, certificateOf, "no certificate is in it"},
		{"encrypted key", func(o *operator) {
			o.write(o.files.Key, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
		}, fault.Invalid, keyOf, "openssl pkey"},
		{"old encrypted key", func(o *operator) {
			o.write(o.files.Key, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
		}, fault.Invalid, keyOf, "openssl pkey"},
		{"no name", func(o *operator) { o.renew(servercerttest.Server{}) }, fault.Invalid, certificateOf, "DNS name or an IP address"},
		{"large", func(o *operator) { o.write(o.files.Key, make([]byte, 2<<20)) }, fault.Invalid, keyOf, "1 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOperator(t)
			tc.spoil(o)
			_, err := o.files.Read()
			if fault.KindOf(err) != tc.kind || err == nil {
				t.Fatalf("%v, want %v", err, tc.kind)
			}
			if !strings.Contains(err.Error(), tc.file(o.files)) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v lacks %q or %q", err, tc.file(o.files), tc.says)
			}
		})
	}
}

func certificateOf(f servercert.Files) string { return f.Certificate }
func keyOf(f servercert.Files) string         { return f.Key }

// What one process checked another can use without the files, also when they are one file.
func TestPairTravels(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	pair := o.read()
	again, err := servercert.Files{}.Parse(pair.PEM())
	if err != nil || !again.Certificate().Equal(pair.Certificate()) {
		t.Fatalf("%v", err)
	}
	o.write(o.files.Certificate, pair.PEM())
	o.files.Key = o.files.Certificate
	if one := o.read(); !one.Same(again) || one.Same(nil) || bytes.Count(one.PEM(), []byte("PRIVATE KEY")) != 2 {
		t.Error("one file with both is another pair")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := newOperator(t)
	far := now.Add(100 * 24 * time.Hour)
	for _, tc := range []struct {
		name   string
		server servercerttest.Server
		want   []string
	}{
		{"good", servercerttest.Server{Addresses: []netip.Addr{office}, NotAfter: far}, nil},
		{"a DNS name", servercerttest.Server{Names: []string{"sip.example.org"}, NotAfter: far}, nil},
		{"expired", servercerttest.Server{Addresses: []netip.Addr{office}, NotAfter: now.Add(-time.Minute)}, []string{"it expired at " + now.Add(-time.Minute).UTC().Format(time.RFC3339)}},
		{"expires", servercerttest.Server{Addresses: []netip.Addr{office}, NotAfter: now.Add(time.Hour)}, []string{"it expires at"}},
		{"early", servercerttest.Server{Addresses: []netip.Addr{office}, NotBefore: now.Add(time.Hour), NotAfter: far}, []string{"valid only from"}},
		{"another address", servercerttest.Server{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, NotAfter: far}, []string{"it names 192.0.2.9 alone: phones that reach the server at 192.0.2.1"}},
		{"no server", servercerttest.Server{Addresses: []netip.Addr{office}, NotAfter: far, Usage: clientOnly}, []string{"serverAuth"}},
	} {
		certificate, key := o.issue(tc.server)
		pair, err := o.files.Parse(append(certificate, key...))
		if err != nil {
			t.Fatal(tc.name, err)
		}
		got := pair.Warnings(now, []netip.Addr{office})
		if len(got) != len(tc.want) || len(got) > 0 && !strings.Contains(got[0], tc.want[0]) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
