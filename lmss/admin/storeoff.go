package admin

import (
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// StoreOff stands for the store of a site that has none: there are no records, registrations are kept in
// memory alone, and what must be written is refused.
type StoreOff struct{}

var (
	_ Store    = StoreOff{}
	_ Records  = StoreOff{}
	_ Bindings = StoreOff{}
	_ Audits   = StoreOff{}
)

func (StoreOff) refuse(op, subject string) error {
	return fault.New(op, fault.Unavailable, subject, "the store is off (store.enabled is false in the configuration): nothing can be kept")
}

// PutUser refuses.
func (s StoreOff) PutUser(u user.User, _ store.Audit) error {
	return s.refuse("store user", string(u.Name))
}

// DeleteUser refuses.
func (s StoreOff) DeleteUser(name federation.User, _ store.Audit) error {
	return s.refuse("delete user", string(name))
}

// AppendAudit refuses: what leaves no record is not done.
func (s StoreOff) AppendAudit(audit store.Audit) error {
	return s.refuse("write audit record", audit.What)
}

// LoadAudit finds nothing.
func (StoreOff) LoadAudit(int) ([]store.Audit, error) { return nil, nil }

// QueryCDRs finds nothing.
func (StoreOff) QueryCDRs(store.RecordFilter) ([]cdr.Record, error) { return nil, nil }

// SaveBindings keeps nothing.
func (StoreOff) SaveBindings([]registrar.Change, func(error)) error { return nil }
