package servercert

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// soon is how long before a certificate's end the operator is told.
const soon = 14 * 24 * time.Hour

// Warnings are reasons for which phones may refuse a pair that is otherwise good: it is out of its time, or names none
// of the addresses at which they reach the server. Each says what to do.
func (p *Pair) Warnings(now time.Time, addresses []netip.Addr) []string {
	leaf := p.Certificate()
	var all []string
	if text := timeWarning(leaf, now); text != "" {
		all = append(all, text)
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		all = append(all, "it is not made for servers: phones that check it will refuse; have it made with the extended key usage serverAuth")
	}
	if len(leaf.DNSNames) > 0 {
		return all // which names phones have in their settings is not known here
	}
	for _, a := range addresses {
		if leaf.VerifyHostname(a.String()) != nil {
			all = append(all, fmt.Sprintf("it names %s alone: phones that reach the server at %s and check it will refuse; have it made for that address, or for a DNS name",
				names(leaf), a))
		}
	}
	return all
}

func timeWarning(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(leaf.NotBefore):
		return "it is valid only from " + stamp(leaf.NotBefore) + " on: phones that check it will refuse until then; look at this machine's clock"
	case !now.Before(leaf.NotAfter):
		return "it expired at " + stamp(leaf.NotAfter) + ": phones that check it refuse; put a new one in its place, the server need not be restarted"
	case leaf.NotAfter.Sub(now) < soon:
		return "it expires at " + stamp(leaf.NotAfter) + "; put a new one in its place, the server need not be restarted"
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func names(leaf *x509.Certificate) string {
	texts := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ", ")
}
