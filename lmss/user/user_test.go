package user

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

func TestSetPassword(t *testing.T) {
	t.Parallel()
	u := User{Name: "Mufasa"}
	// RFC 7616 §3.9.1 gives these inputs; the hashes are of "Mufasa:http-auth@example.org:Circle of Life".
	if err := u.SetPassword("http-auth@example.org", "Circle of Life"); err != nil {
		t.Fatal(err)
	}
	if u.HA1MD5 != "3d78807defe7de2157e2b0b6573a855f" {
		t.Errorf("MD5 %s", u.HA1MD5)
	}
	if u.HA1SHA256 != "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232" {
		t.Errorf("SHA-256 %s", u.HA1SHA256)
	}
	if err := u.Validate(); err != nil || !u.HasPassword() {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"", "secret"}, {`a"b`, "secret"}, {"a:b", "secret"}, {"r", ""}, {"r", "Mufasa"}, {"r", "a\nb"}} {
		if err := u.SetPassword(bad[0], bad[1]); fault.KindOf(err) != fault.Invalid {
			t.Errorf("realm %q, password %q: %v", bad[0], bad[1], err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	prefix := netip.MustParsePrefix
	for complaint, u := range map[string]User{
		"":                       {Name: "+15550101"},
		"is empty":               {},
		"32 are allowed":         {Name: federation.User(strings.Repeat("1", 33))},
		`contains "@"`:           {Name: "a@b"},
		`contains "+"`:           {Name: "1+2"},
		`contains "\""`:          {Name: `a"b`},
		"display name contains":  {Name: "a", DisplayName: "x\r\ny"},
		"display name has":       {Name: "a", DisplayName: strings.Repeat("x", 129)},
		"without the realm":      {Name: "a", HA1MD5: strings.Repeat("0", 32)},
		"not a hexadecimal hash": {Name: "a", Realm: "r", HA1MD5: "secret"},
		"is everybody":           {Name: "a", Addresses: []netip.Prefix{prefix("0.0.0.0/0")}},
		"is not valid":           {Name: "a", Addresses: []netip.Prefix{{}}},
		"as IPv4":                {Name: "a", Addresses: []netip.Prefix{prefix("::ffff:192.0.2.0/120")}},
		"64 are allowed":         {Name: "a", Addresses: make([]netip.Prefix, 65)},
		"an address and a port":  {Name: "a", Target: Target{Address: netip.MustParseAddrPort("192.0.2.7:0")}},
		"or one name":            {Name: "a", Target: Target{Host: "pbx.example.org", Address: netip.MustParseAddrPort("192.0.2.7:5060")}},
		"has a zone":             {Name: "a", Target: Target{Address: netip.MustParseAddrPort("[fe80::1%eth0]:5060")}},
		"udp, tcp or tls":        {Name: "a", Target: Target{Transport: 9, Address: netip.MustParseAddrPort("192.0.2.7:5060")}},
		"binding limit is -1":    {Name: "a", MaxBindings: -1},
	} {
		err := u.Validate()
		if complaint == "" {
			if err != nil {
				t.Errorf("%+v: %v", u, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), complaint) {
			t.Errorf("want %q, got %v", complaint, err)
		}
	}
}

func TestLookupByAddress(t *testing.T) {
	t.Parallel()
	with := func(name string, prefixes ...string) User {
		u := User{Name: federation.User(name)}
		for _, p := range prefixes {
			u.Addresses = append(u.Addresses, netip.MustParsePrefix(p))
		}
		return u
	}
	table, err := NewTable(with("wide", "192.0.2.7/24", "2001:db8::/32"), with("narrow", "192.0.2.64/26"), with("one", "192.0.2.65/32", "2001:db8::1/128"), with("none"))
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"192.0.2.1": "wide", "192.0.2.66": "narrow", "192.0.2.65": "one", "198.51.100.1": "", "::ffff:192.0.2.65": "one",
		"2001:db8::1": "one", "2001:db8::2": "wide", "2001:db9::1": "", "fe80::1%eth0": "",
	} {
		name := ""
		if u, ok := table.LookupAddress(netip.MustParseAddr(source)); ok {
			name = string(u.Name)
		}
		if name != want {
			t.Errorf("%s is %q, want %q", source, name, want)
		}
	}
	if _, ok := table.LookupAddress(netip.Addr{}); ok {
		t.Error("the zero address is somebody")
	}
	if _, err := NewTable(with("a", "192.0.2.0/24"), with("b", "192.0.2.9/24")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("one prefix for two: %v", err)
	}
}

// TestLookupsDoNotAllocate is not parallel, since the others' allocations would count.
func TestLookupsDoNotAllocate(t *testing.T) { //nolint:paralleltest // see above
	table, err := NewTable(User{Name: "4001", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	if err != nil {
		t.Fatal(err)
	}
	source := netip.MustParseAddr("192.0.2.65")
	if n := testing.AllocsPerRun(100, func() { table.LookupAddress(source); table.Lookup("4001") }); n > 0 {
		t.Errorf("%v allocations a lookup", n)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	d, err := NewDirectory(User{Name: "4001"})
	if err != nil {
		t.Fatal(err)
	}
	before := d.Table()
	mine := User{Name: "4002", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}}
	if err := d.Put(mine); err != nil {
		t.Fatal(err)
	}
	mine.Addresses[0] = netip.MustParsePrefix("198.51.100.1/32")
	if u, ok := d.Table().LookupAddress(netip.MustParseAddr("192.0.2.7")); !ok || u.Addresses[0].String() != "192.0.2.7/32" {
		t.Error("the directory keeps a slice of its caller")
	}
	if before.Len() != 1 || d.Table().Len() != 2 {
		t.Errorf("a table changed: %d users, now %d", before.Len(), d.Table().Len())
	}
	if err := d.Check(User{Name: "4003", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("check: %v", err)
	}
	if err := d.Delete("4001"); err != nil {
		t.Error(err)
	}
	if err := d.Delete("4001"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("deleting nobody: %v", err)
	}
	if err := d.Put(User{Name: "not good"}); fault.KindOf(err) != fault.Invalid || d.Table().Len() != 1 {
		t.Errorf("a bad user: %v", err)
	}
}

func TestDirectoryKeepsConcurrentChanges(t *testing.T) {
	t.Parallel()
	d, err := NewDirectory()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if err := d.Put(User{Name: federation.User(fmt.Sprint(4000 + i))}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	last := federation.User("")
	for u := range d.Table().All() {
		if u.Name <= last {
			t.Errorf("%s after %s", u.Name, last)
		}
		last = u.Name
	}
	if d.Table().Len() != 50 {
		t.Errorf("%d of 50 users are left", d.Table().Len())
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	target := Target{Address: netip.MustParseAddrPort("192.0.2.7:5060")}
	want := siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: target.Address}
	if got := target.Flow(want.Local); got != want || target.String() != "udp 192.0.2.7:5060" || target.IsZero() {
		t.Errorf("%v, %s", got, target)
	}
	for text, want := range map[string]string{
		"192.0.2.7:5060": "sip:a@192.0.2.7:5060", "tcp [2001:db8::7]:5060": "sip:a@[2001:db8::7]:5060;transport=tcp",
		"PBX.example.org.": "sip:a@pbx.example.org", "tcp pbx.example.org:5070": "sip:a@pbx.example.org:5070;transport=tcp",
	} {
		target, err := ParseTarget(text)
		if got := target.URI("a"); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if !(Target{}).IsZero() || (Target{}).String() != "" {
		t.Error("the zero target is somewhere")
	}
}
