package servercert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/servercert"
	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

var clientOnly = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

// journal is a log that a test reads.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// take gives what was logged since the last time.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.text.String()
	j.text.Reset()
	return text
}

// held runs a test with a holder that looks each second.
func held(t *testing.T, test func(o *operator, h *servercert.Holder, log *journal)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOperator(t)
		log := &journal{}
		h := servercert.New(o.files, o.read(), time.Second, slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		synctest.Wait()
		test(o, h, log)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// looks lets the holder look a number of times.
func looks(times int) {
	<-time.After(time.Duration(times)*time.Second + time.Millisecond)
	synctest.Wait()
}

func TestNewPairIsTakenOver(t *testing.T) {
	held(t, func(o *operator, h *servercert.Holder, log *journal) {
		looks(3)
		if got := log.take(); got != "" {
			t.Errorf("nothing changed, logged %q", got)
		}
		o.renew(servercerttest.Server{Names: []string{"sip.example.org"}, NotAfter: time.Now().Add(time.Hour)})
		looks(1)
		if !h.Pair().Same(o.read()) || h.Wrong() != "" || !strings.Contains(log.take(), "TLS certificate replaced") {
			t.Errorf("the old pair is in use, wrong: %q", h.Wrong())
		}
	})
}

// Between the writing of the two files a look finds a key that does not fit. Nobody needs to hear of it.
func TestPairIsWrittenInTwoSteps(t *testing.T) {
	held(t, func(o *operator, h *servercert.Holder, log *journal) {
		before := h.Pair()
		certificate, key := o.issue(servercerttest.Server{Addresses: []netip.Addr{office}, NotAfter: time.Now().Add(time.Hour)})
		o.write(o.files.Certificate, certificate)
		looks(1)
		if !h.Pair().Same(before) || h.Wrong() != "" || log.take() != "" {
			t.Errorf("half of a new pair: %q", h.Wrong())
		}
		o.write(o.files.Key, key)
		looks(1)
		if h.Pair().Same(before) || strings.Contains(log.take(), "not usable") {
			t.Error("the whole new pair is not used")
		}
	})
}

func TestBrokenPairKeepsTheOldOne(t *testing.T) {
	held(t, func(o *operator, h *servercert.Holder, log *journal) {
		before := h.Pair()
		good, err := os.ReadFile(o.files.Key)
		if err != nil {
			t.Fatal(err)
		}
		o.write(o.files.Key, []byte("broken"))
		looks(5)
		got := log.take()
		if !h.Pair().Same(before) || strings.Count(got, "not usable") != 1 || !strings.Contains(got, o.files.Key) || !strings.Contains(got, "BEGIN PRIVATE KEY") {
			t.Errorf("logged %q", got)
		}
		if !strings.Contains(h.Wrong(), o.files.Key) {
			t.Errorf("wrong: %q", h.Wrong())
		}
		if err := os.Remove(o.files.Key); err != nil {
			t.Fatal(err)
		}
		looks(3)
		if got := log.take(); strings.Count(got, "not usable") != 1 || !strings.Contains(got, "no such file") {
			t.Errorf("another mistake, logged %q", got)
		}
		o.write(o.files.Key, good)
		looks(2)
		if got := log.take(); h.Wrong() != "" || strings.Count(got, "good again") != 1 || !h.Pair().Same(before) {
			t.Errorf("mended, logged %q, wrong %q", got, h.Wrong())
		}
	})
}

func TestExpiredPairDoesNotReplaceAGoodOne(t *testing.T) {
	held(t, func(o *operator, h *servercert.Holder, log *journal) {
		before := h.Pair()
		o.renew(servercerttest.Server{Names: []string{"sip.example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)})
		looks(2)
		if !h.Pair().Same(before) || !strings.Contains(log.take(), "expired already") {
			t.Error("an expired certificate took the place of a good one")
		}
	})
}

// A handshake gets the pair of its moment, and no TLS below 1.2.
func TestHandshakesUseThePresentPair(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	first := o.read()
	h := servercert.New(o.files, first, time.Millisecond, nil)
	config := h.Server()
	shown := func(limit uint16) (*x509.Certificate, error) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		server := tls.Server(b, config)
		go func() { _ = server.Handshake() }() // the client's end tells
		client := tls.Client(a, &tls.Config{RootCAs: o.authority.Pool(), ServerName: office.String(), MinVersion: tls.VersionTLS10, MaxVersion: limit})
		if err := client.Handshake(); err != nil {
			return nil, err
		}
		return client.ConnectionState().PeerCertificates[0], nil
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if got, err := shown(version); err != nil || !got.Equal(first.Certificate()) {
			t.Errorf("TLS %x: %v", version, err)
		}
	}
	if _, err := shown(tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	o.renew(servercerttest.Server{Addresses: []netip.Addr{office}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }() // nil
	for h.Pair().Same(first) {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the new pair is not taken")
		}
	}
	cancel()
	<-done
	if got, err := shown(0); err != nil || got.Equal(first.Certificate()) {
		t.Errorf("after the change: %v", err)
	}
}
