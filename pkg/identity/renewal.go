package identity

import (
	"crypto/x509"
	"time"
)

// RenewalGrace is how long an expired certificate may still renew itself, so that an office that was cut
// off comes back without anybody's help.
const RenewalGrace = 30 * 24 * time.Hour

// Phase is where a certificate is in its life.
type Phase string

// The phases, in order.
const (
	Fresh   Phase = "fresh"   // nothing to do
	Due     Phase = "due"     // past half of its life: renew
	Expired Phase = "expired" // good for renewing and nothing else
	Lost    Phase = "lost"    // the node has to join again
)

// Renewal is what a certificate's holder does about it.
type Renewal struct {
	Phase Phase
	// Wait is the time to the next phase; zero when Lost.
	Wait time.Duration
}

// RenewalOf decides from the certificate's dates alone.
func RenewalOf(certificate *x509.Certificate, now time.Time) Renewal {
	end := certificate.NotAfter
	half := certificate.NotBefore.Add(end.Sub(certificate.NotBefore) / 2)
	for _, next := range []struct {
		phase Phase
		until time.Time
	}{{Fresh, half}, {Due, end}, {Expired, end.Add(RenewalGrace)}} {
		if wait := next.until.Sub(now); wait > 0 {
			return Renewal{next.phase, wait}
		}
	}
	return Renewal{Phase: Lost}
}
