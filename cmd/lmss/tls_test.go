package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/cmd/internal/daemon/daemontest"
	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// shop is an operator's folder with an authority and a pair of files.
type shop struct {
	t                *testing.T
	authority        *servercerttest.Authority
	certificate, key string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	authority, err := servercerttest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &shop{t: t, authority: authority, certificate: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	s.renew(servercerttest.Server{Addresses: []netip.Addr{loopback}, NotAfter: time.Now().Add(90 * 24 * time.Hour)})
	return s
}

func (s *shop) renew(server servercerttest.Server) {
	s.t.Helper()
	if err := s.authority.Write(s.certificate, s.key, server); err != nil {
		s.t.Fatal(err)
	}
}

// yaml is the configuration of an office with a TLS listener.
func (s *shop) yaml() string {
	return fmt.Sprintf("listen: {udp: [\"127.0.0.1:0\"], tls: [\"127.0.0.1:0\"]}\ntls: {certificate: %s, key: %s}\n", s.certificate, s.key)
}

func TestCheckLooksAtTheCertificate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(s *shop)
		code   int
		says   []string
	}{
		"good": {func(*shop) {}, 0, nil},
		"expired": {func(s *shop) {
			s.renew(servercerttest.Server{Addresses: []netip.Addr{loopback}, NotAfter: time.Now().Add(-time.Hour)})
		}, 0, []string{"lmss.yaml: warning: tls.certificate: ", "cert.pem: it expired at"}},
		"other names": {func(s *shop) {
			s.renew(servercerttest.Server{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, NotAfter: time.Now().Add(90 * 24 * time.Hour)})
		}, 0, []string{"warning", "192.0.2.1 alone", "at 127.0.0.1"}},
		"no key": {func(s *shop) { _ = os.Remove(s.key) }, daemon.ExitConfig, []string{"lmss.yaml: tls: ", "key.pem", "no such file"}},
		"foreign key": {func(s *shop) {
			if _, key, err := s.authority.Issue(servercerttest.Server{}); err != nil || os.WriteFile(s.key, key, 0o600) != nil {
				s.t.Fatal(err)
			}
		}, daemon.ExitConfig, []string{"key.pem", "it must be the key for which", "cert.pem was made"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			path := office(t, s.yaml())
			tc.change(s)
			for _, args := range [][]string{{"check", "--config", path}, {"run", "--check", "--config", path}} {
				var out, wrong bytes.Buffer
				if code := execute(t.Context(), args, &out, &wrong); code != tc.code || (tc.code == 0) != strings.Contains(out.String(), ": ok") {
					t.Errorf("%v: exit code %d, printed %q %q", args, code, &out, &wrong)
				}
				for _, want := range tc.says {
					if !strings.Contains(wrong.String(), want) {
						t.Errorf("%v: %q is not in %q", args, want, &wrong)
					}
				}
				if tc.says == nil && wrong.Len() > 0 {
					t.Errorf("%v: warned %q", args, &wrong)
				}
			}
			if tc.code == 0 {
				return
			}
			p := daemontest.Start(t, "run", "--config", path)
			if code := p.Exit(); code != tc.code || !strings.Contains(p.Stderr.String(), tc.says[1]) {
				t.Errorf("run: exit code %d, said %q", code, p.Stderr)
			}
		})
	}
}

// shown connects as a phone does and gives the certificate.
func (s *shop) shown(address string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), daemontest.Patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: s.authority.Pool(), ServerName: loopback.String(), MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil, fmt.Errorf("connected as %T", conn)
	}
	return secure.ConnectionState().PeerCertificates[0], nil
}

// wants waits until phones are shown the certificate that is in the file.
func (s *shop) wants(address string) *x509.Certificate {
	s.t.Helper()
	var got *x509.Certificate
	text, err := os.ReadFile(s.certificate)
	if err != nil {
		s.t.Fatal(err)
	}
	daemontest.Eventually(s.t, "the certificate of the file", func() bool {
		got, err = s.shown(address)
		return err == nil && bytes.Equal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.Raw}), text)
	})
	return got
}

// TestCertificateIsReplacedAndOutlivesItsFiles renews the pair under a running server, breaks the files and kills the
// signalling process: phones go on being shown the last good certificate.
func TestCertificateIsReplacedAndOutlivesItsFiles(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := daemontest.Start(t, "run", "--config", office(t, s.yaml()))
	_, address, found := strings.Cut(p.See(p.Stdout, "ready\n", 1), "listening tls ")
	if address, _, _ = strings.Cut(address, "\n"); !found {
		t.Fatal("no TLS listener")
	}
	first := s.wants(address)
	s.renew(servercerttest.Server{Addresses: []netip.Addr{loopback}, NotAfter: time.Now().Add(80 * 24 * time.Hour)})
	second := s.wants(address)
	if second.Equal(first) {
		t.Fatal("nothing was renewed")
	}
	p.See(p.Stderr, "TLS certificate replaced", 2) // the supervisor has it too
	if err := os.WriteFile(s.key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.See(p.Stderr, "the last good pair stays in use", 2)
	if err := syscall.Kill(p.PIDs("supervisor", "signal", 1)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.See(p.Stderr, "msg=\"child ready\" process=supervisor child=signal", 2)
	if got, err := s.shown(address); err != nil || !got.Equal(second) {
		t.Errorf("after the restart: %v, the second certificate: %v", err, got != nil && got.Equal(second))
	}
	s.renew(servercerttest.Server{Addresses: []netip.Addr{loopback}, NotAfter: time.Now().Add(70 * 24 * time.Hour)})
	s.wants(address)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
