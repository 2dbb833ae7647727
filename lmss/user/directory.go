package user

import (
	"sync"
	"sync/atomic"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// Directory holds the current Table. Readers take the Table and keep it for as long as they like;
// writers put a changed copy in its place, one at a time. It persists nothing: whoever changes a user
// writes the store first.
type Directory struct {
	current atomic.Pointer[Table]
	writers sync.Mutex // held from reading current to replacing it
}

// NewDirectory starts with the users given; see NewTable for its errors.
func NewDirectory(users ...User) (*Directory, error) {
	t, err := NewTable(users...)
	if err != nil {
		return nil, err
	}
	d := &Directory{}
	d.current.Store(t)
	return d, nil
}

// Table is the snapshot of now. It costs one atomic load.
func (d *Directory) Table() *Table { return d.current.Load() }

// Check says whether Put would accept the user, and changes nothing.
func (d *Directory) Check(u User) error {
	_, err := d.Table().with(u)
	return err
}

// Put adds the user or takes the place of the one of its name. Errors: fault.Invalid, fault.Conflict.
func (d *Directory) Put(u User) error {
	d.writers.Lock()
	defer d.writers.Unlock()
	t, err := d.Table().with(u)
	if err != nil {
		return err
	}
	d.current.Store(t)
	return nil
}

// Delete removes a user; fault.NotFound if there is none of that name.
func (d *Directory) Delete(name federation.User) error {
	d.writers.Lock()
	defer d.writers.Unlock()
	t := d.Table()
	if _, ok := t.Lookup(name); !ok {
		return fault.New("delete user", fault.NotFound, string(name), "there is no such user; `mssctl user list` names them")
	}
	rest, err := NewTable(t.without(name)...)
	if err != nil {
		return err
	}
	d.current.Store(rest)
	return nil
}
