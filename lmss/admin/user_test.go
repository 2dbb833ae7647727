package admin

import (
	"crypto/md5" //nolint:gosec // what digest is made of
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

const password = "s3cret-s3cret-s3cret"

func ha1(name, password string) string {
	sum := md5.Sum([]byte(name + ":" + realm + ":" + password)) //nolint:gosec // what digest is made of
	return hex.EncodeToString(sum[:])
}

// A user is made, changed and deleted; the store, the directory and the audit records say the same.
func TestUserLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	client := lmssv1.NewUsersClient(s.conn)

	added, err := client.AddUser(t.Context(), &lmssv1.AddUserRequest{
		User: &lmssv1.User{Name: "4001", DisplayName: "Front desk", Addresses: []string{"192.0.2.7", "2001:db8::/64"}, Target: "tcp 192.0.2.7:5060", MaxBindings: 2}, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &lmssv1.User{
		Name: "4001", DisplayName: "Front desk", Addresses: []string{"192.0.2.7/32", "2001:db8::/64"},
		Target: "tcp 192.0.2.7:5060", MaxBindings: 2, HasPassword: true,
	}
	if !proto.Equal(added.GetUser(), want) || added.GetPassword() != "" {
		t.Errorf("added %v", added)
	}
	if u, ok := s.users.Table().Lookup("4001"); !ok || u.HA1MD5 != ha1("4001", password) {
		t.Errorf("directory has %+v", u)
	}

	set, err := client.SetUser(t.Context(), &lmssv1.SetUserRequest{Name: "4001", Addresses: &lmssv1.AddressList{}, Target: new(""), GeneratePassword: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.GetUser(); got.GetDisplayName() != "Front desk" || got.GetMaxBindings() != 2 || len(got.GetAddresses()) != 0 || got.GetTarget() != "" {
		t.Errorf("set changed what it should not, or did not what it should: %v", got)
	}
	if len(set.GetPassword()) < 20 {
		t.Errorf("generated password %q is too short", set.GetPassword())
	}
	if u, _ := s.users.Table().Lookup("4001"); u.HA1MD5 != ha1("4001", set.GetPassword()) {
		t.Error("the generated password is not the one that was set")
	}
	stored, err := s.store.LoadUsers()
	if err != nil || len(stored) != 1 || stored[0].HA1MD5 != ha1("4001", set.GetPassword()) {
		t.Errorf("store has %+v, %v", stored, err)
	}

	s.register(t, "4001", 5060)
	deleted, err := client.DeleteUser(t.Context(), &lmssv1.DeleteUserRequest{Name: "4001"})
	if err != nil || deleted.GetRegistrationsRemoved() != 1 || s.registrar.Count() != 0 || s.users.Table().Len() != 0 {
		t.Errorf("deleted %v, %v; %d registrations left", deleted, err, s.registrar.Count())
	}
	s.checkAudit(t)
}

// checkAudit looks at the records of TestUserLifecycle.
func (s *site) checkAudit(t *testing.T) {
	t.Helper()
	audits := s.audits(t)
	var whats []string
	for _, a := range audits {
		whats = append(whats, a.What)
		text := fmt.Sprint(a)
		if strings.Contains(text, "s3cret") || strings.Contains(text, ha1("4001", password)) {
			t.Errorf("a secret in the audit: %s", text)
		}
		if !strings.Contains(a.Who, "uid ") || !strings.Contains(a.Who, "pid ") || a.At.Before(s.now) {
			t.Errorf("who and when: %q at %v", a.Who, a.At)
		}
	}
	if got, want := strings.Join(whats, "; "), "delete user 4001; set user 4001 with a new password; add user 4001 with a new password"; got != want {
		t.Fatalf("audits %q, want %q", got, want)
	}
	if audits[2].Before != "" || !strings.Contains(audits[2].After, "Front desk") {
		t.Errorf("add: %+v", audits[2])
	}
	if !strings.Contains(audits[1].Before, "192.0.2.7/32") || strings.Contains(audits[1].After, "192.0.2.7/32") {
		t.Errorf("set: %+v", audits[1])
	}
	if !strings.Contains(audits[0].Before, "Front desk") || audits[0].After != "" {
		t.Errorf("delete: %+v", audits[0])
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, name := range []federation.User{"4002", "4001"} {
		if err := s.users.Put(user.User{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	client := lmssv1.NewUsersClient(s.conn)
	stream, err := client.ListUsers(t.Context(), &lmssv1.ListUsersRequest{})
	all := receive(t, stream, err)
	if len(all) != 2 || all[0].GetUser().GetName() != "4001" {
		t.Errorf("listed %v", all)
	}
	stream, err = client.ListUsers(t.Context(), &lmssv1.ListUsersRequest{Name: "4002"})
	if one := receive(t, stream, err); len(one) != 1 || one[0].GetUser().GetName() != "4002" {
		t.Errorf("listed %v", one)
	}
}

// What is refused changes nothing and leaves no record.
func TestRefusedUserChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, u := range []user.User{{Name: "4001"}, {Name: "fixed", Configured: true}} {
		if err := s.users.Put(u); err != nil {
			t.Fatal(err)
		}
	}
	client := lmssv1.NewUsersClient(s.conn)
	add := func(req *lmssv1.AddUserRequest) func() error {
		return func() error { _, err := client.AddUser(t.Context(), req); return err }
	}
	set := func(req *lmssv1.SetUserRequest) func() error {
		return func() error { _, err := client.SetUser(t.Context(), req); return err }
	}
	remove := func(name string) func() error {
		return func() error {
			_, err := client.DeleteUser(t.Context(), &lmssv1.DeleteUserRequest{Name: name})
			return err
		}
	}
	list := func(name string) func() error {
		return func() error { return streamError(client.ListUsers(t.Context(), &lmssv1.ListUsersRequest{Name: name})) }
	}
	for name, c := range map[string]struct {
		do   func() error
		want codes.Code
	}{
		"add: exists":            {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4001"}}), codes.AlreadyExists},
		"add: bad name":          {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4 0"}}), codes.InvalidArgument},
		"add: no user":           {add(&lmssv1.AddUserRequest{}), codes.InvalidArgument},
		"add: bad address":       {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x", Addresses: []string{"here"}}}), codes.InvalidArgument},
		"add: everybody":         {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x", Addresses: []string{"0.0.0.0/0"}}}), codes.InvalidArgument},
		"add: bad target":        {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x", Target: "sctp 192.0.2.7:5060"}}), codes.InvalidArgument},
		"add: many phones":       {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x", MaxBindings: 1 << 31}}), codes.InvalidArgument},
		"add: two passwords":     {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x"}, Password: "a", GeneratePassword: true}), codes.InvalidArgument},
		"add: password is name":  {add(&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "x"}, Password: "x"}), codes.InvalidArgument},
		"set: none":              {set(&lmssv1.SetUserRequest{Name: "nobody"}), codes.NotFound},
		"set: from the file":     {set(&lmssv1.SetUserRequest{Name: "fixed", Disabled: new(true)}), codes.FailedPrecondition},
		"set: empty password":    {set(&lmssv1.SetUserRequest{Name: "4001", Password: new("")}), codes.InvalidArgument},
		"set: bad address":       {set(&lmssv1.SetUserRequest{Name: "4001", Addresses: &lmssv1.AddressList{Addresses: []string{""}}}), codes.InvalidArgument},
		"delete: none":           {remove("nobody"), codes.NotFound},
		"delete: from the file":  {remove("fixed"), codes.FailedPrecondition},
		"list: none of the name": {list("nobody"), codes.NotFound},
	} {
		if err := c.do(); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if u, _ := s.users.Table().Lookup("4001"); s.users.Table().Len() != 2 || u.Disabled || u.HasPassword() {
		t.Errorf("something was changed: %d users, %+v", s.users.Table().Len(), u)
	}
	if audits := s.audits(t); len(audits) != 0 {
		t.Errorf("records of what was refused: %v", audits)
	}
}

func TestDisabledUserLosesItsPhones(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	if err := s.users.Put(user.User{Name: "4001"}); err != nil {
		t.Fatal(err)
	}
	s.register(t, "4001", 5060)
	_, err := lmssv1.NewUsersClient(s.conn).SetUser(t.Context(), &lmssv1.SetUserRequest{Name: "4001", Disabled: new(true)})
	if err != nil || s.registrar.Count() != 0 {
		t.Errorf("%v; %d registrations left", err, s.registrar.Count())
	}
}

// brokenStore is a store whose disk takes nothing.
type brokenStore struct{ StoreOff }

var errDisk = errors.New("no space left on device")

func (brokenStore) PutUser(user.User, store.Audit) error {
	return &fault.Error{Op: "store user", Kind: fault.Exhausted, Err: errDisk}
}

// What could not be written has not happened.
func TestUnwrittenChangeDoesNotHappen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store Store
		want  codes.Code
	}{"disk full": {brokenStore{}, codes.ResourceExhausted}, "store off": {StoreOff{}, codes.Unavailable}} {
		s := newSite(t, func(o *Options) { o.Store = c.store })
		client := lmssv1.NewUsersClient(s.conn)
		if _, err := client.AddUser(t.Context(), &lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4001"}}); status.Code(err) != c.want {
			t.Errorf("%s: add: %v", name, err)
		}
		if s.users.Table().Len() != 0 {
			t.Errorf("%s: the directory has the user", name)
		}
		s.calls.set(nil, CallInfo{ID: "call-1"})
		if _, err := lmssv1.NewCallsClient(s.conn).HangupCall(t.Context(), &lmssv1.HangupCallRequest{Id: "call-1"}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: hang up without a record: %v", name, err)
		}
	}
}
