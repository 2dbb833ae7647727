package identity

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/safefile"
)

// Folder is where a node keeps its identity, in its state directory.
const Folder = "identity"

// File names in that folder. Each is one PEM file with a private key and the certificates that
// go with it, the root last, so that key and certificates change together.
const (
	NodeFile    = "node.pem"    // the node's own credentials
	IssuingFile = "issuing.pem" // a hub's issuing authority
	RootFile    = "root.pem"    // the domain's root key; may be taken offline
)

const (
	keyBlock         = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
)

// NewFolder makes the folder for a new identity in a state directory. It never touches one that is there: the error
// is of kind Exists. op is what the caller is about to do.
func NewFolder(op, stateDir string) (string, error) {
	dir := filepath.Join(stateDir, Folder)
	for _, name := range []string{RootFile, IssuingFile, NodeFile} {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		if err == nil {
			return "", fault.New(op, fault.Exists, path, "this machine has an identity already: run it, or move the folder away to begin anew")
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &fault.Error{Op: op, Kind: fault.Unavailable, Subject: dir, Err: err}
	}
	return dir, nil
}

// Save writes the credentials to a file for the owner alone, replacing what was there at once.
func (c *Credentials) Save(path string) error {
	certificates := append([]*x509.Certificate{}, c.Chain...)
	return saveBundle("save credentials", path, c.Key, append(certificates, c.Root))
}

// LoadCredentials reads what Save wrote. Expired credentials are loaded: they can be renewed.
func LoadCredentials(path string) (*Credentials, error) {
	key, certificates, err := loadBundle("load credentials", path)
	if err != nil {
		return nil, err
	}
	last := len(certificates) - 1
	return NewCredentials(key, certificates[:last], certificates[last])
}

// Save writes the authority to a file for the owner alone.
func (a *Authority) Save(path string) error {
	return saveBundle("save authority", path, a.key, a.chain)
}

// LoadAuthority reads what Save wrote: a root or an issuing authority.
func LoadAuthority(path string) (*Authority, error) {
	const op = "load authority"
	key, certificates, err := loadBundle(op, path)
	if err != nil {
		return nil, err
	}
	switch len(certificates) {
	case 1:
		root := certificates[0]
		if !root.IsCA || root.CheckSignatureFrom(root) != nil || !samePublicKey(key.Public(), root.PublicKey) {
			return nil, fault.New(op, fault.Invalid, path, "it is not a root and its key")
		}
		return &Authority{key: key, chain: certificates}, nil
	case 2:
		return NewIssuer(key, certificates[0], certificates[1])
	default:
		return nil, fault.New(op, fault.Invalid, path, "it has neither a root nor an issuing certificate with its root")
	}
}

func saveBundle(op, path string, key crypto.Signer, certificates []*x509.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return &fault.Error{Op: op, Subject: path, Err: err}
	}
	var text bytes.Buffer
	err = pem.Encode(&text, &pem.Block{Type: keyBlock, Bytes: der})
	for _, c := range certificates {
		if err == nil {
			err = pem.Encode(&text, &pem.Block{Type: certificateBlock, Bytes: c.Raw})
		}
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = safefile.Write(path, text.Bytes())
	}
	if err != nil {
		return &fault.Error{Op: op, Subject: path, Err: err}
	}
	return nil
}

// loadBundle gives the key and at least one certificate.
func loadBundle(op, path string) (crypto.Signer, []*x509.Certificate, error) {
	text, err := readPrivate(op, path)
	if err != nil {
		return nil, nil, err
	}
	var key crypto.Signer
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case keyBlock:
			key, err = parseKey(block.Bytes)
		case certificateBlock:
			var c *x509.Certificate
			c, err = x509.ParseCertificate(block.Bytes)
			certificates = append(certificates, c)
		default:
			err = fault.New(op, fault.Invalid, block.Type, "it is neither a private key nor a certificate")
		}
		if err != nil {
			return nil, nil, &fault.Error{Op: op, Kind: fault.Invalid, Subject: path, Err: err}
		}
	}
	if key == nil || len(certificates) == 0 {
		return nil, nil, fault.New(op, fault.Invalid, path, "a private key and certificates in PEM are needed")
	}
	return key, certificates, nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fault.New("read key", fault.Invalid, "", "it cannot sign")
	}
	return key, nil
}

// readPrivate reads a file that holds a key, and refuses one that others can read.
func readPrivate(op, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		kind := fault.Internal
		if os.IsNotExist(err) {
			kind = fault.NotFound
		}
		return nil, &fault.Error{Op: op, Kind: kind, Subject: path, Err: err}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(op, fault.Denied, path, "others can read this key: chmod 600, and think about who has")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Op: op, Subject: path, Err: err}
	}
	return text, nil
}
