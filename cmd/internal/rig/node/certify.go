package node

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

// authority certifies all offices of this process: phones of one may trust those of another.
var authority = sync.OnceValues(servercerttest.NewAuthority)

// certify makes the office's certificate for phones, for its address, and puts the authority's beside it.
func (n *Node) certify() error {
	a, err := authority()
	if err == nil {
		names := servercerttest.Server{Addresses: slices.AppendSeq([]netip.Addr{n.addr}, maps.Values(n.opt.Advertise))}
		err = errors.Join(os.WriteFile(n.AuthorityPath(), a.PEM(), 0o600), a.Write(n.certificatePath(), n.keyPath(), names))
	}
	if err != nil {
		return fmt.Errorf("make a certificate for phones: %w", err)
	}
	return nil
}

func (n *Node) certificatePath() string { return filepath.Join(n.dir, "certificate.pem") }

func (n *Node) keyPath() string { return filepath.Join(n.dir, "key.pem") }

// AuthorityPath is the file with the certificate that phones have to trust over TLS.
func (n *Node) AuthorityPath() string { return filepath.Join(n.dir, "authority.pem") }

// Trust is the same for phones in this process.
func (n *Node) Trust() *x509.CertPool {
	a, err := authority()
	if err != nil {
		return x509.NewCertPool() // the office was not made either
	}
	return a.Pool()
}
