package admin

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// userMessage is a user as it may be shown.
func userMessage(u *user.User) *lmssv1.User {
	m := &lmssv1.User{
		Name: string(u.Name), DisplayName: u.DisplayName, Target: u.Target.String(),
		MaxBindings: uint32(u.MaxBindings), Disabled: u.Disabled,
		HasPassword: u.HasPassword(), Configured: u.Configured,
	}
	for _, p := range u.Addresses {
		m.Addresses = append(m.Addresses, p.String())
	}
	return m
}

// messageOrNil is for the audit of a user that was not there before.
func messageOrNil(u *user.User) proto.Message {
	if u == nil {
		return nil
	}
	return userMessage(u)
}

// userOf reads a user. The directory checks the values; here only the texts must have their form.
func userOf(op string, m *lmssv1.User) (user.User, error) {
	u := user.User{
		Name: federation.User(m.GetName()), DisplayName: m.GetDisplayName(),
		MaxBindings: int(m.GetMaxBindings()), Disabled: m.GetDisabled(),
	}
	var err error
	if u.Addresses, err = prefixesOf(op, m.GetName(), m.GetAddresses()); err != nil {
		return u, err
	}
	u.Target, err = targetOf(op, m.GetName(), m.GetTarget())
	return u, err
}

// applyFields changes what the request has.
func applyFields(op string, u *user.User, req *lmssv1.SetUserRequest) (err error) {
	if req.DisplayName != nil {
		u.DisplayName = req.GetDisplayName()
	}
	if req.MaxBindings != nil {
		u.MaxBindings = int(req.GetMaxBindings())
	}
	if req.Disabled != nil {
		u.Disabled = req.GetDisabled()
	}
	if req.Addresses != nil {
		if u.Addresses, err = prefixesOf(op, req.GetName(), req.GetAddresses().GetAddresses()); err != nil {
			return err
		}
	}
	if req.Target != nil {
		u.Target, err = targetOf(op, req.GetName(), req.GetTarget())
	}
	return err
}

// prefixesOf reads addresses and prefixes; a single address is a prefix of its whole length.
func prefixesOf(op, name string, texts []string) (prefixes []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fault.New(op, fault.Invalid, name, "the address "+text+" is not one: write 192.0.2.7 or 192.0.2.0/24")
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// targetOf reads a target as the configuration file has it.
func targetOf(op, name, text string) (user.Target, error) {
	target, err := user.ParseTarget(text)
	if err != nil {
		return target, fault.New(op, fault.Invalid, name, "the target "+err.Error())
	}
	return target, nil
}
