package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// TestClosedConnectionIsUnreachable: a phone whose connection closed is gone at once, for new calls and for the one that
// it was in, and is back with its next registration.
func TestClosedConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	for _, transport := range []phone.Transport{phone.TCP, phone.TLS} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			ctx := limit(t)
			n := office(t, "")
			a := register(t, n, phone.Options{Name: "4001"})
			b := register(t, n, phone.Options{Name: "4002", Transport: transport})
			out, _ := connect(t, a, b)
			b.Close()
			began := time.Now()
			must(t, out.Hangup(ctx))
			other, err := a.Dial(ctx, "4002")
			must(t, err)
			must(t, other.WaitEnded(ctx))
			wantStatus(t, other, 480)
			if took := time.Since(began); took > time.Second {
				t.Errorf("hung up and refused after %v", took)
			}
			noVoicePorts(t, n)
			// The BYE waits for the phone, and another one of its user at the same address may be it with a new name.
			back := register(t, n, phone.Options{Name: "4002", Transport: transport}, phone.RuleUnknown)
			out, in := connect(t, a, back)
			must(t, in.Hangup(ctx))
			must(t, out.WaitEnded(ctx))
			var got []record // who is refused is no call
			eventually(t, "one record of each call", func() bool {
				got = recordsOf(t, n, func(r record) bool { return r.Called == "4002" })
				return len(got) == 2
			}, &got)
		})
	}
}

// TestSilentConnectionsKeepNobodyFromTLS lets hundreds connect who say nothing, half a greeting, or no TLS. A phone from
// elsewhere registers and calls meanwhile, and all of them are closed in the end.
func TestSilentConnectionsKeepNobodyFromTLS(t *testing.T) {
	t.Parallel()
	const strangers = 300
	ctx := limit(t)
	n := office(t, "")
	closed := make(chan struct{}, strangers)
	for i := range strangers {
		conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(n.TLS()))
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() }) // the office has closed it
		_, err = conn.Write([]byte([]string{"", "\x16\x03\x01\x02\x00\x01", "OPTIONS sip:x SIP/2.0\r\n\r\n"}[i%3]))
		must(t, err)
		go func() {
			buf := make([]byte, 100) // an alert may come first
			for err == nil {
				_, err = conn.Read(buf)
			}
			closed <- struct{}{}
		}()
	}
	began := time.Now()
	elsewhere := netip.MustParseAddr("127.0.0.2")
	a := register(t, n, phone.Options{Name: "4001", Transport: phone.TLS, Local: elsewhere})
	if took := time.Since(began); took > time.Second {
		t.Errorf("registered after %v", took)
	}
	b := register(t, n, phone.Options{Name: "4002", Transport: phone.TLS, Local: elsewhere})
	out, in := connect(t, a, b)
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
	for range strangers {
		select {
		case <-closed:
		case <-ctx.Done():
			t.Fatal("connections that say nothing stay open")
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("closed after %v, want 5s", took)
	}
}

// TestOldTLSIsRefused wants nothing below TLS 1.2.
func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	n := office(t, "")
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := &tls.Config{RootCAs: n.Trust(), ServerName: n.Addr().String(), MinVersion: version, MaxVersion: version}
		conn, err := (&tls.Dialer{Config: config}).DialContext(limit(t), "tcp", n.TLS().String())
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			must(t, conn.Close())
		}
	}
}

// TestUplinkDoesNotShowThePhonesListener: the connection to a hub leaves from where the kernel's route says, whatever
// addresses phones use, and nobody is told that hubs could connect there.
func TestUplinkDoesNotShowThePhonesListener(t *testing.T) {
	t.Parallel()
	d := twoSites(t)
	text, err := d.london.Ctl(limit(t), "peer", "list", "-o", "json")
	must(t, err)
	var peers []struct {
		Trunk string `json:"trunk_address"`
	}
	must(t, json.Unmarshal([]byte(text), &peers))
	if len(peers) != 1 || !strings.Contains(peers[0].Trunk, d.hub.TLS().String()) || strings.Contains(peers[0].Trunk, d.london.TLS().String()) {
		t.Errorf("trunks %+v; the phones' listener is %v", peers, d.london.TLS())
	}
}

// TestBrokenCertificateIsAnAlarm: operators hear of files that cannot be used while the last good pair still is.
func TestBrokenCertificateIsAnAlarm(t *testing.T) {
	t.Parallel()
	n := office(t, "")
	ask := func() (status struct{ Alarms, Listeners []string }) {
		text, err := n.Ctl(limit(t), "status", "-o", "json")
		must(t, err)
		must(t, json.Unmarshal([]byte(text), &status))
		return status
	}
	if s := ask(); len(s.Alarms) > 0 || !slices.Contains(s.Listeners, "tls "+n.TLS().String()) {
		t.Errorf("status %+v", s)
	}
	key := filepath.Join(n.Dir(), "key.pem")
	must(t, os.WriteFile(key, []byte("broken"), 0o600))
	ctx := limit(t)
	for {
		if s := ask(); len(s.Alarms) > 0 {
			if !strings.Contains(s.Alarms[0], key) {
				t.Errorf("alarms %q", s.Alarms)
			}
			break
		}
		must(t, ctx.Err())
		wait(ctx, 100*time.Millisecond)
	}
	must(t, register(t, n, phone.Options{Name: "4001", Transport: phone.TLS}).Unregister(ctx))
}
