package config

import (
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/federation"
)

// User is an extension that the file configures.
type User struct {
	// Name is the extension. Required.
	Name string `yaml:"name"`
	// Display is the name shown to the called party. Empty means none.
	Display string `yaml:"display"`
	// Password is the phone's. Empty means that the user cannot register and is known by Addresses alone.
	Password string `yaml:"password"`
	// Addresses are where calls of this user come from without a password. Empty means nowhere.
	Addresses []configfile.Network `yaml:"addresses"`
	// Target is where calls to the user go when no phone is registered. Empty means nowhere.
	Target Target `yaml:"target"`
	// Bindings is how many phones may be registered at a time. Zero means registrar.bindings.
	Bindings int `yaml:"bindings"`
}

// Make is the user as the site knows it, its password turned into what the realm's digest needs.
func (u User) Make(realm string) (user.User, error) {
	made := user.User{
		Name:        federation.User(u.Name),
		DisplayName: u.Display,
		Target:      user.Target(u.Target),
		MaxBindings: u.Bindings,
		Configured:  true,
	}
	for _, n := range u.Addresses {
		made.Addresses = append(made.Addresses, n.Prefix)
	}
	if u.Password != "" {
		if err := made.SetPassword(realm, u.Password); err != nil {
			return user.User{}, err
		}
	}
	return made, made.Validate()
}

// Target is a fixed place for calls, written "192.0.2.7:5060" or, with its transport, "tcp 192.0.2.7:5060"; or a
// server's name, "pbx.example.org", which may have a transport and a port too.
type Target user.Target

// UnmarshalText reads a target; an empty text is none.
func (t *Target) UnmarshalText(text []byte) error {
	parsed, err := user.ParseTarget(string(text))
	if err == nil {
		*t = Target(parsed)
	}
	return err
}

// String is the target as UnmarshalText reads it.
func (t Target) String() string { return user.Target(t).String() }
