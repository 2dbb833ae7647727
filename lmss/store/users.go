package store

import (
	"encoding/json"
	"net/netip"

	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// userRow is a user as it is stored. Its names are a format: samples of every version are read in tests.
type userRow struct {
	DisplayName string         `json:"display_name,omitempty"`
	Realm       string         `json:"realm,omitempty"`
	HA1MD5      string         `json:"ha1_md5,omitempty"`
	HA1SHA256   string         `json:"ha1_sha256,omitempty"`
	Addresses   []netip.Prefix `json:"addresses,omitempty"`
	Transport   string         `json:"target_transport,omitempty"`
	Target      netip.AddrPort `json:"target,omitzero"`
	Host        string         `json:"target_host,omitempty"`
	Port        uint16         `json:"target_port,omitempty"`
	MaxBindings int            `json:"max_bindings,omitempty"`
	Disabled    bool           `json:"disabled,omitempty"`
	Configured  bool           `json:"configured,omitempty"`
}

// LoadUsers reads all users, ordered by name.
func (s *Store) LoadUsers() ([]user.User, error) {
	return load(s, "load users", "SELECT name, data FROM users ORDER BY name", func(scan func(...any) error) (user.User, error) {
		var name string
		var text []byte
		if err := scan(&name, &text); err != nil {
			return user.User{}, err
		}
		var r userRow
		if err := json.Unmarshal(text, &r); err != nil {
			return user.User{}, err
		}
		return user.User{
			Name: federation.User(name), DisplayName: r.DisplayName, Realm: r.Realm, HA1MD5: r.HA1MD5, HA1SHA256: r.HA1SHA256,
			Addresses: r.Addresses, Target: user.Target{Transport: transportNamed(r.Transport), Address: r.Target, Host: r.Host, Port: r.Port},
			MaxBindings: r.MaxBindings, Disabled: r.Disabled, Configured: r.Configured,
		}, nil
	})
}

// PutUser writes a user and the audit entry of the change in one transaction, and waits until both are
// safe. fault.Exhausted or fault.Unavailable say that the disk takes no writes.
func (s *Store) PutUser(u user.User, entry Audit) error {
	text, err := json.Marshal(&userRow{
		DisplayName: u.DisplayName, Realm: u.Realm, HA1MD5: u.HA1MD5, HA1SHA256: u.HA1SHA256, Addresses: u.Addresses,
		Transport: u.Target.Transport.Param(), Target: u.Target.Address, Host: u.Target.Host, Port: u.Target.Port,
		MaxBindings: u.MaxBindings, Disabled: u.Disabled, Configured: u.Configured,
	})
	if err != nil {
		return fault.New("write user", fault.Internal, string(u.Name), err.Error())
	}
	return s.transact("write user", string(u.Name), func(tx *transaction) error {
		if err := tx.exec(putUser, string(u.Name), text); err != nil {
			return err
		}
		return tx.audit(entry)
	})
}

// DeleteUser removes a user as PutUser writes one; fault.NotFound, and no entry, if there is none.
func (s *Store) DeleteUser(name federation.User, entry Audit) error {
	return s.transact("delete user", string(name), func(tx *transaction) error {
		found, err := tx.affected(deleteUser, string(name))
		if err != nil {
			return err
		}
		if !found {
			return fault.New("delete user", fault.NotFound, string(name), "there is no such user; `mssctl user list` names them")
		}
		return tx.audit(entry)
	})
}
