// Package servercerttest is an operator's authority for tests and demonstrations: it makes certificates for listeners,
// good ones and those that something is wrong with. Start at [NewAuthority].
package servercerttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"
)

// Authority is a root that clients are told to trust.
type Authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

// NewAuthority makes one that is valid for a year.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: number(), Subject: pkix.Name{CommonName: "example.org authority"}, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	return &Authority{key: key, root: root}, err
}

func number() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // it never fails on the systems that Go supports
	return n
}

// Pool is what a client trusts.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// PEM is the root's certificate.
func (a *Authority) PEM() []byte { return certificatePEM(a.root.Raw) }

// Server is what a certificate should say. Zero fields give one that is good for 90 days and names nobody.
type Server struct {
	Addresses []netip.Addr
	Names     []string
	NotBefore time.Time // zero: an hour ago
	NotAfter  time.Time // zero: in 90 days
	Usage     []x509.ExtKeyUsage
}

// Issue makes a key and its certificate.
func (a *Authority) Issue(s Server) (certificate, key []byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: number(), Subject: pkix.Name{CommonName: "telephone server"}, DNSNames: s.Names, NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: s.Usage, BasicConstraintsValid: true,
	}
	for _, addr := range s.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	if s.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if s.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	if s.Usage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, secret.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	secretDER, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, nil, err
	}
	return certificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secretDER}), nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Write makes a pair and writes it to two files, the certificate first.
func (a *Authority) Write(certificatePath, keyPath string, s Server) error {
	certificate, key, err := a.Issue(s)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(certificatePath, certificate, 0o600), os.WriteFile(keyPath, key, 0o600))
}
