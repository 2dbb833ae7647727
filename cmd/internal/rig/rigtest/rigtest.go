// Package rigtest gives nodes and phones to tests: they end with the test, what they leave behind or see go wrong fails
// it, and a test that failed shows what they wrote.
package rigtest

import (
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// CleanUp stops a node with the test, looks for what it left, and shows its log if the test failed.
func CleanUp(tb testing.TB, n interface {
	Stop() error
	Log() string
	Dir() string
	Remove() error
},
) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := n.Stop(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", n.Dir(), n.Log())
		}
		if err := n.Remove(); err != nil {
			tb.Error(err)
		}
	})
}

// Phone makes the phone of a user of an office. At the end of the test it must have seen nothing wrong but what the test
// allows.
func Phone(tb testing.TB, n *node.Node, opt phone.Options, allowed ...phone.Rule) *phone.Phone {
	tb.Helper()
	opt.Trust = n.Trust()
	switch {
	case opt.Registrar.IsValid():
	case opt.Transport == phone.UDP:
		opt.Registrar = n.UDP()
	case opt.Transport == phone.TCP:
		opt.Registrar = n.TCP()
	case opt.Transport == phone.TLS:
		opt.Registrar = n.TLS()
	}
	if opt.Password == "" {
		opt.Password = n.Password(opt.Name)
	}
	p, err := phone.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.Close()
		for _, v := range p.Violations(allowed...) {
			tb.Errorf("phone %s saw: %v", opt.Name, v)
		}
		if tb.Failed() {
			tb.Log(p.TranscriptText())
		}
	})
	return p
}
