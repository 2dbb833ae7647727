package admin

import (
	"context"
	"crypto/rand"
	"fmt"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// users serves mss.lmss.v1.Users.
type users struct {
	lmssv1.UnimplementedUsersServer
	server *Server
}

// ListUsers gives all users or one.
func (s *users) ListUsers(req *lmssv1.ListUsersRequest, stream grpc.ServerStreamingServer[lmssv1.ListUsersResponse]) error {
	table := s.server.options.Users.Table()
	if req.GetName() != "" {
		u, ok := table.Lookup(federation.User(req.GetName()))
		if !ok {
			return noSuchUser("list users", req.GetName())
		}
		return stream.Send(&lmssv1.ListUsersResponse{User: userMessage(u)})
	}
	for u := range table.All() {
		if err := stream.Send(&lmssv1.ListUsersResponse{User: userMessage(u)}); err != nil {
			return err
		}
	}
	return nil
}

// AddUser makes a user.
func (s *users) AddUser(ctx context.Context, req *lmssv1.AddUserRequest) (*lmssv1.AddUserResponse, error) {
	const op = "add user"
	s.server.writes.Lock()
	defer s.server.writes.Unlock()
	u, err := userOf(op, req.GetUser())
	if err != nil {
		return nil, err
	}
	if _, ok := s.server.options.Users.Table().Lookup(u.Name); ok {
		return nil, fault.New(op, fault.Exists, string(u.Name), fmt.Sprintf("there is a user of that name: `mssctl user set %s` changes it", u.Name))
	}
	password, err := s.setPassword(op, &u, req.GetPassword(), req.GetGeneratePassword())
	if err != nil {
		return nil, err
	}
	if err := s.put(ctx, op, nil, &u); err != nil {
		return nil, err
	}
	return &lmssv1.AddUserResponse{User: userMessage(&u), Password: password}, nil
}

// SetUser changes the fields that are present.
func (s *users) SetUser(ctx context.Context, req *lmssv1.SetUserRequest) (*lmssv1.SetUserResponse, error) {
	const op = "set user"
	s.server.writes.Lock()
	defer s.server.writes.Unlock()
	before, err := s.changeable(op, req.GetName())
	if err != nil {
		return nil, err
	}
	after := before.Clone()
	if err := applyFields(op, &after, req); err != nil {
		return nil, err
	}
	password, err := s.setPassword(op, &after, req.GetPassword(), req.GetGeneratePassword())
	if err != nil {
		return nil, err
	}
	if req.Password != nil && req.GetPassword() == "" && !req.GetGeneratePassword() {
		return nil, fault.New(op, fault.Invalid, req.GetName(), "the password is empty: give one, or let it be generated")
	}
	if err := s.put(ctx, op, before, &after); err != nil {
		return nil, err
	}
	if after.Disabled && !before.Disabled {
		if _, err := s.unregister(after.Name); err != nil {
			return nil, err
		}
	}
	return &lmssv1.SetUserResponse{User: userMessage(&after), Password: password}, nil
}

// DeleteUser removes a user and its registrations.
func (s *users) DeleteUser(ctx context.Context, req *lmssv1.DeleteUserRequest) (*lmssv1.DeleteUserResponse, error) {
	const op = "delete user"
	s.server.writes.Lock()
	defer s.server.writes.Unlock()
	u, err := s.changeable(op, req.GetName())
	if err != nil {
		return nil, err
	}
	record, err := audit(ctx, op+" "+string(u.Name), userMessage(u), nil)
	if err != nil {
		return nil, err
	}
	if err := s.server.options.Store.DeleteUser(u.Name, record); err != nil {
		return nil, err
	}
	if err := s.server.options.Users.Delete(u.Name); err != nil {
		return nil, err
	}
	removed, err := s.unregister(u.Name)
	if err != nil {
		return nil, err
	}
	return &lmssv1.DeleteUserResponse{RegistrationsRemoved: uint32(removed)}, nil
}

// unregister drops the phones of a user who may not have any now.
func (s *users) unregister(name federation.User) (int, error) {
	changes := s.server.options.Registrar.Remove(name)
	return len(changes), s.server.options.Bindings.SaveBindings(changes, nil)
}

// changeable finds a user that may be changed here. One from the configuration file would be as before
// after the next start: it is refused rather than lost.
func (s *users) changeable(op, name string) (*user.User, error) {
	u, ok := s.server.options.Users.Table().Lookup(federation.User(name))
	if !ok {
		return nil, noSuchUser(op, name)
	}
	if u.Configured {
		return nil, fault.New(op, fault.Conflict, name, "the user comes from the configuration file: change it there and restart the server")
	}
	return u, nil
}

// put writes the store first: what a crash leaves is what operators were told. The directory has checked
// the user before, so that it takes what was written.
func (s *users) put(ctx context.Context, op string, before, after *user.User) error {
	if err := s.server.options.Users.Check(*after); err != nil {
		return err
	}
	what := op + " " + string(after.Name)
	if before == nil || before.HA1MD5 != after.HA1MD5 {
		if after.HasPassword() {
			what += " with a new password"
		}
	}
	record, err := audit(ctx, what, messageOrNil(before), userMessage(after))
	if err != nil {
		return err
	}
	if err := s.server.options.Store.PutUser(*after, record); err != nil {
		return err
	}
	return s.server.options.Users.Put(*after)
}

// setPassword sets a given or generated password, if one is asked for, and returns the generated one.
func (s *users) setPassword(op string, u *user.User, given string, generate bool) (generated string, err error) {
	if generate {
		if given != "" {
			return "", fault.New(op, fault.Invalid, string(u.Name), "a password is given and one is to be generated: choose one of them")
		}
		generated = rand.Text() // 26 characters, 130 bits
		given = generated
	}
	if given == "" {
		return "", nil
	}
	return generated, u.SetPassword(s.server.options.Realm, given)
}

func noSuchUser(op, name string) error {
	return fault.New(op, fault.NotFound, name, "there is no such user; `mssctl user list` names them")
}
