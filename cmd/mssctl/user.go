package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// maxPassword bounds what is read from standard input, in bytes.
const maxPassword = 1024

func (a *app) userCommand() *cobra.Command {
	return noun("user", "the extensions of this site", a.userList(), a.userAdd(), a.userSet(), a.userDelete())
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [NAME]",
		Short:             "show users",
		Example:           "  mssctl user list\n  mssctl user list 4001 -o json",
		Args:              atMost("NAME"),
		ValidArgsFunction: offered(a.offerUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := a.newList("users", "NAME", "DISPLAY NAME", "PASSWORD", "ADDRESSES", "TARGET", "PHONES", "STATE")
			err := a.eachUser(cmd.Context(), first(args), func(u *lmssv1.User) error {
				return l.add(u, u.GetName(), u.GetDisplayName(), yesNo(u.GetHasPassword()), strings.Join(u.GetAddresses(), " "),
					u.GetTarget(), phones(u.GetMaxBindings()), userState(u))
			})
			return l.finish(err)
		},
	}
}

// eachUser asks for all users, or for one.
func (a *app) eachUser(ctx context.Context, name string, do func(*lmssv1.User) error) error {
	return a.with(ctx, "list users", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := lmssv1.NewUsersClient(conn).ListUsers(ctx, &lmssv1.ListUsersRequest{Name: name})
		return each(a, stream, err, func(m *lmssv1.ListUsersResponse) error { return do(m.GetUser()) })
	})
}

// userFlags are the flags that add and set share.
type userFlags struct {
	displayName, target string
	addresses           []string
	maxBindings         uint32
	disabled            bool
	passwordStdin       bool
}

func (f *userFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.displayName, "display-name", "", "name shown to the called party")
	flags.StringSliceVar(&f.addresses, "address", nil, "source address or prefix known to be this user, without a password (may be repeated)")
	flags.StringVar(&f.target, "target", "", `where to send calls of a user known by address, such as "udp 192.0.2.7:5060", or a server's name, such as pbx.example.org`)
	flags.Uint32Var(&f.maxBindings, "max-phones", 0, "phones registered at a time (0: the default of 3)")
	flags.BoolVar(&f.disabled, "disabled", false, "the user neither registers nor calls nor is called")
	flags.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
}

func (a *app) userAdd() *cobra.Command {
	var f userFlags
	var noPassword bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "add a user; without --password-stdin a password is made and printed once",
		Example: "  mssctl user add 4001 --display-name 'Front desk'\n" +
			"  mssctl user add 4002 --password-stdin < secret\n" +
			"  mssctl user add gateway --no-password --address 192.0.2.7 --target 'udp 192.0.2.7:5060'",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &lmssv1.AddUserRequest{
				User: &lmssv1.User{
					Name: args[0], DisplayName: f.displayName, Addresses: f.addresses, Target: f.target,
					MaxBindings: f.maxBindings, Disabled: f.disabled,
				},
				GeneratePassword: !f.passwordStdin && !noPassword,
			}
			if f.passwordStdin && noPassword {
				return usage(cmd, "--password-stdin and --no-password exclude each other")
			}
			var err error
			if req.Password, err = a.readPassword(cmd, f.passwordStdin); err != nil {
				return err
			}
			return a.with(cmd.Context(), "add user", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := lmssv1.NewUsersClient(conn).AddUser(ctx, req)
				if err != nil {
					return err
				}
				return a.printObject(m, "user "+args[0]+" added\n"+passwordText(m.GetPassword()))
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&noPassword, "no-password", false, "the user is known by address alone")
	return cmd
}

func (a *app) userSet() *cobra.Command {
	var f userFlags
	var newPassword bool
	cmd := &cobra.Command{
		Use:               "set NAME",
		Short:             "change a user: only what is given changes",
		Example:           "  mssctl user set 4001 --new-password\n  mssctl user set 4001 --disabled=false --address ''",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !anyChanged(cmd) {
				return usage(cmd, "nothing to change: give at least one flag")
			}
			if f.passwordStdin && newPassword {
				return usage(cmd, "--password-stdin and --new-password exclude each other")
			}
			req, err := a.setRequest(cmd, &f, args[0])
			if err != nil {
				return err
			}
			req.GeneratePassword = newPassword
			return a.with(cmd.Context(), "set user", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := lmssv1.NewUsersClient(conn).SetUser(ctx, req)
				if err != nil {
					return err
				}
				return a.printObject(m, "user "+args[0]+" changed\n"+passwordText(m.GetPassword()))
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&newPassword, "new-password", false, "make a new password and print it once")
	return cmd
}

// setRequest has the fields whose flags were given.
func (a *app) setRequest(cmd *cobra.Command, f *userFlags, name string) (*lmssv1.SetUserRequest, error) {
	req := &lmssv1.SetUserRequest{Name: name}
	flags := cmd.Flags()
	if flags.Changed("display-name") {
		req.DisplayName = &f.displayName
	}
	if flags.Changed("address") {
		req.Addresses = &lmssv1.AddressList{Addresses: withoutEmpty(f.addresses)}
	}
	if flags.Changed("target") {
		req.Target = &f.target
	}
	if flags.Changed("max-phones") {
		req.MaxBindings = &f.maxBindings
	}
	if flags.Changed("disabled") {
		req.Disabled = &f.disabled
	}
	if f.passwordStdin {
		password, err := a.readPassword(cmd, true)
		if err != nil {
			return nil, err
		}
		req.Password = &password
	}
	return req, nil
}

func (a *app) userDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "delete a user and its registrations; calls go on",
		Example:           "  mssctl user delete 4001",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "delete user", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := lmssv1.NewUsersClient(conn).DeleteUser(ctx, &lmssv1.DeleteUserRequest{Name: args[0]})
				if err != nil {
					return err
				}
				return a.printObject(m, fmt.Sprintf("user %s deleted, with %d registrations\n", args[0], m.GetRegistrationsRemoved()))
			})
		},
	}
}

// readPassword reads one line from standard input if wanted. The line's end is not part of the password.
func (a *app) readPassword(cmd *cobra.Command, wanted bool) (string, error) {
	if !wanted {
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(a.in, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > maxPassword:
		return "", usage(cmd, fmt.Sprintf("the password on standard input has more than %d bytes", maxPassword))
	case password == "":
		return "", usage(cmd, "there is no password on standard input")
	case strings.ContainsAny(password, "\r\n"):
		return "", usage(cmd, "there is more than one line on standard input; the password must be the only one")
	}
	return password, nil
}

func passwordText(password string) string {
	if password == "" {
		return ""
	}
	return "password " + password + " (shown this once and kept nowhere)\n"
}

func userState(u *lmssv1.User) string {
	state := "enabled"
	if u.GetDisabled() {
		state = "disabled"
	}
	if u.GetConfigured() {
		state += ", from the configuration file"
	}
	return state
}

func phones(limit uint32) string {
	if limit == 0 {
		return "default"
	}
	return strconv.FormatUint(uint64(limit), 10)
}
