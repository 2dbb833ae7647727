// Package servercert reads the certificate that an operator gave a TLS listener, says what is wrong with it, and takes
// a new one over when the files change. Such a certificate comes from a public or a company's authority and is for
// phones and foreign trunks; the certificates by which nodes of a domain know each other are package identity's.
//
// Start at [Files.Read]; [New] and [Holder.Run] keep it up to date.
package servercert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mss-federation/mss/pkg/fault"
)

const opRead = "read TLS certificate"

// Files are where the operator keeps the pair, in PEM. Both may name one file that holds certificate and key.
type Files struct {
	// Certificate is the server's own certificate, first, and those of the authorities between it and the root.
	Certificate string
	// Key is its private key, not encrypted.
	Key string
}

// Pair is a certificate with the key that fits. It is never changed.
type Pair struct {
	tls  tls.Certificate
	text []byte // as PEM, certificates first
}

// Read reads and checks the files. Errors name the file, what is wrong with it and what to do.
func (f Files) Read() (*Pair, error) {
	certificate, err := readPEM(f.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(f.Key)
	if err != nil {
		return nil, err
	}
	return f.pair(certificate, key)
}

// maxSize bounds each file, in bytes.
const maxSize = 1 << 20

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(opRead, fault.NotFound, path, "there is no such file; put it there, or name the right one")
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(opRead, fault.Denied, path, "this user may not read it; make it readable for the user that the server runs as")
	case err != nil:
		return nil, &fault.Error{Op: opRead, Kind: fault.Unavailable, Subject: path, Err: err}
	case len(data) > maxSize:
		return nil, fault.New(opRead, fault.Invalid, path, "larger than 1 MiB; is it the right file?")
	}
	return data, nil
}

// Parse takes up what [Pair.PEM] gave; f stands in errors.
func (f Files) Parse(text []byte) (*Pair, error) { return f.pair(text, text) }

func (f Files) pair(certificate, key []byte) (*Pair, error) {
	if err := f.inspect(certificate, key); err != nil {
		return nil, err
	}
	made, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, &fault.Error{
			Op: opRead, Kind: fault.Invalid, Subject: f.Key,
			Err: fmt.Errorf("%w; it must be the key for which %s was made", err, f.Certificate),
		}
	}
	for _, der := range made.Certificate[1:] {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, &fault.Error{Op: opRead, Kind: fault.Invalid, Subject: f.Certificate, Err: err}
		}
	}
	if leaf := made.Leaf; len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		return nil, fault.New(opRead, fault.Invalid, f.Certificate,
			"it names no host: phones look at the subject's alternative names alone; have it made with a DNS name or an IP address there")
	}
	text := certificate
	if !bytes.Equal(certificate, key) {
		text = bytes.Join([][]byte{certificate, key}, []byte("\n"))
	}
	return &Pair{tls: made, text: text}, nil
}

// inspect finds the mistakes that crypto/tls has no good words for.
func (f Files) inspect(certificate, key []byte) error {
	first := block(certificate, func(kind string) bool { return kind == "CERTIFICATE" })
	if first == nil {
		return fault.New(opRead, fault.Invalid, f.Certificate, "no certificate is in it; PEM is wanted, with a line -----BEGIN CERTIFICATE-----")
	}
	if _, err := x509.ParseCertificate(first.Bytes); err != nil {
		return &fault.Error{Op: opRead, Kind: fault.Invalid, Subject: f.Certificate, Err: err}
	}
	secret := block(key, isKey)
	switch {
	case secret == nil:
		return fault.New(opRead, fault.Invalid, f.Key, "no private key is in it; PEM is wanted, with a line -----BEGIN PRIVATE KEY-----")
	case secret.Type == "ENCRYPTED PRIVATE KEY" || secret.Headers["DEK-Info"] != "":
		return fault.New(opRead, fault.Invalid, f.Key, "the key is encrypted, and nobody is there to type the password; write it without one with: openssl pkey")
	}
	return nil
}

// block finds the first one of a kind.
func block(text []byte, kind func(string) bool) *pem.Block {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil || kind(b.Type) {
			return b
		}
	}
}

func isKey(kind string) bool {
	return kind == "PRIVATE KEY" || kind == "ENCRYPTED PRIVATE KEY" || bytes.HasSuffix([]byte(kind), []byte(" PRIVATE KEY"))
}

// PEM is certificates and key as one text, for a process that cannot or should not read the files. It is secret.
func (p *Pair) PEM() []byte { return p.text }

// Certificate is the server's own.
func (p *Pair) Certificate() *x509.Certificate { return p.tls.Leaf }

// Same says whether both are the same pair, byte for byte.
func (p *Pair) Same(other *Pair) bool { return other != nil && bytes.Equal(p.text, other.text) }
