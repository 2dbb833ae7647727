// Package user knows the extensions of one site: their names, secrets, and the addresses by which some
// of them are known instead of registering. It owns no storage (see store) and no bindings (see
// registrar). Start at [User]; [Directory] is what the programs look users up in.
package user

import (
	"crypto/md5" //nolint:gosec // digest authentication with MD5 is what deployed phones speak (RFC 3261 §22.4)
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// DefaultMaxBindings is how many phones of one user may be registered at a time unless it says otherwise.
const DefaultMaxBindings = 3

// Limits of what Validate accepts.
const (
	MaxNameLength        = 32  // bytes
	MaxDisplayNameLength = 128 // bytes
	MaxBindingsLimit     = 100 // bindings
	MaxAddresses         = 64  // prefixes of one user
)

// User is an extension of this site. It is a value: Addresses is never changed in place once the user
// is in a Table.
type User struct {
	// Name is the user part of the address-of-record. It compares case-sensitively (RFC 3261 §19.1.4).
	Name federation.User
	// DisplayName is shown to the called party. Empty means that the name stands alone.
	DisplayName string
	// Realm is what the HA1s were made for. A password cannot be carried to another realm.
	Realm string
	// HA1MD5 and HA1SHA256 are hex(H(name:realm:password)), RFC 7616 §3.4.2. Both empty means that the
	// user has no password and cannot register.
	HA1MD5, HA1SHA256 string
	// Addresses are sources known to be this user: calls from there need no digest. Empty means none.
	Addresses []netip.Prefix
	// Target is where calls to a user that is known by address go. The zero Target means that the user
	// is reached by its bindings alone.
	Target Target
	// MaxBindings bounds the phones registered at a time. Zero means DefaultMaxBindings.
	MaxBindings int
	// Disabled users neither register nor call nor are called.
	Disabled bool
	// Configured says that the user comes from the configuration file, not from an operator's command.
	Configured bool
}

// BindingLimit is MaxBindings with its default filled in.
func (u *User) BindingLimit() int {
	if u.MaxBindings == 0 {
		return DefaultMaxBindings
	}
	return u.MaxBindings
}

// HasPassword says whether the user can answer a digest challenge.
func (u *User) HasPassword() bool { return u.HA1MD5 != "" || u.HA1SHA256 != "" }

// SetPassword keeps the password's HA1 for both algorithms and forgets the password.
func (u *User) SetPassword(realm, password string) error {
	const op = "set password"
	switch {
	case realm == "" || strings.ContainsAny(realm, "\":"):
		return fault.New(op, fault.Invalid, realm, "the realm must not be empty nor contain a colon or a quote")
	case password == "":
		return fault.New(op, fault.Invalid, string(u.Name), "the password is empty: give one, or let it be generated")
	case password == string(u.Name):
		return fault.New(op, fault.Invalid, string(u.Name), "the password is the user's name, the first that is guessed: choose another")
	case strings.ContainsFunc(password, isControl):
		return fault.New(op, fault.Invalid, string(u.Name), "the password contains a control character, such as a line end")
	}
	a1 := []byte(string(u.Name) + ":" + realm + ":" + password)
	weak, strong := md5.Sum(a1), sha256.Sum256(a1) //nolint:gosec // see the import
	u.Realm, u.HA1MD5, u.HA1SHA256 = realm, hex.EncodeToString(weak[:]), hex.EncodeToString(strong[:])
	return nil
}

// Clone copies the user with all that it points to.
func (u *User) Clone() User {
	c := *u
	c.Addresses = slices.Clone(u.Addresses)
	return c
}

// Validate says what is wrong with the user, as a fault.Invalid that names the user and the field.
func (u *User) Validate() error {
	for _, check := range []func(*User) string{checkName, checkDisplayName, checkSecrets, checkAddresses, checkTarget, checkLimits} {
		if complaint := check(u); complaint != "" {
			return fault.New("check user", fault.Invalid, fmt.Sprintf("%q", string(u.Name)), complaint)
		}
	}
	return nil
}

func checkName(u *User) string {
	switch {
	case u.Name == "":
		return "the name is empty"
	case len(u.Name) > MaxNameLength:
		return fmt.Sprintf("the name has %d characters; %d are allowed", len(u.Name), MaxNameLength)
	}
	for i, c := range []byte(u.Name) {
		if !isNameByte(c) && (c != '+' || i != 0) {
			return fmt.Sprintf("the name contains %q; allowed are letters, digits, . _ * # - and a leading +", string(rune(c)))
		}
	}
	return ""
}

func isNameByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("._*#-", c) >= 0
}

func checkDisplayName(u *User) string {
	if len(u.DisplayName) > MaxDisplayNameLength {
		return fmt.Sprintf("the display name has %d bytes; %d are allowed", len(u.DisplayName), MaxDisplayNameLength)
	}
	if strings.ContainsFunc(u.DisplayName, isControl) {
		return "the display name contains a control character"
	}
	return ""
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func checkSecrets(u *User) string {
	if u.HasPassword() && u.Realm == "" {
		return "there is a password without the realm that it was made for"
	}
	if !isHash(u.HA1MD5, md5.Size) || !isHash(u.HA1SHA256, sha256.Size) {
		return "the HA1 is not a hexadecimal hash of its algorithm: set the password again"
	}
	return ""
}

func isHash(s string, size int) bool {
	if s == "" {
		return true
	}
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == size
}

func checkAddresses(u *User) string {
	if len(u.Addresses) > MaxAddresses {
		return fmt.Sprintf("there are %d addresses; %d are allowed", len(u.Addresses), MaxAddresses)
	}
	for _, p := range u.Addresses {
		switch {
		case !p.IsValid():
			return "an address is not valid: write 192.0.2.7 or 192.0.2.0/24"
		case p.Bits() == 0:
			return "the address " + p.String() + " is everybody: calls from anywhere would need no password"
		case p.Addr().Is4In6():
			return "the address " + p.String() + " is IPv4 written as IPv6: write it as IPv4"
		}
	}
	return ""
}

func checkLimits(u *User) string {
	if u.MaxBindings < 0 || u.MaxBindings > MaxBindingsLimit {
		return fmt.Sprintf("the binding limit is %d; it must be from 0 (the default, %d) to %d", u.MaxBindings, DefaultMaxBindings, MaxBindingsLimit)
	}
	return ""
}
