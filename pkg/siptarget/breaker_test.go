package siptarget

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

func TestBreakers(t *testing.T) {
	t.Parallel()
	var b Breakers
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var targets []Target
	for i := range 3 {
		targets = append(targets, Target{Transport: siptransport.UDP, Addr: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:5060", i+1))})
	}
	place := func(i int) Place { return Place{targets[i].Transport, targets[i].Addr} }
	check := func(step, want string) {
		t.Helper()
		got := ""
		for _, one := range b.Order(targets, now) {
			got += one.Addr.Addr().String()[len("192.0.2."):]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	check("nothing has failed", "123")
	b.Failed(place(0), now)
	check("the first has failed", "231")
	b.Failed(Place{siptransport.TCP, targets[1].Addr}, now)
	check("another transport has failed", "231")
	b.Failed(place(1), now)
	b.Failed(place(2), now)
	check("all have failed: as it was", "123")
	b.Answered(place(1))
	check("the second is back", "213")
	now = now.Add(10 * time.Second)
	check("its time is over: one looks", "123")
	check("while others wait for the outcome", "231")
	b.Failed(place(0), now)
	now = now.Add(19900 * time.Millisecond)
	check("it failed again: for longer", "231")
	now = now.Add(100 * time.Millisecond)
	check("twice as long", "123")
	for range 20 {
		b.Failed(place(0), now)
	}
	now = now.Add(time.Minute)
	check("never longer than a minute", "123")
}

func TestBreakersAreBounded(t *testing.T) {
	t.Parallel()
	var b Breakers
	now := time.Now()
	for i := range 3 * maxBreakers {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 5060)
		b.Failed(Place{siptransport.UDP, addr}, now)
		b.RefusedTCP(addr, now)
	}
	if len(b.open) > maxBreakers || len(b.noTCP) > maxBreakers {
		t.Errorf("%d breakers, %d without TCP", len(b.open), len(b.noTCP))
	}
}

func TestRefusedTCPIsRememberedForAnHour(t *testing.T) {
	t.Parallel()
	var b Breakers
	now, addr := time.Now(), netip.MustParseAddrPort("192.0.2.1:5060")
	if !b.TakesTCP(addr, now) {
		t.Error("refused before it was tried")
	}
	b.RefusedTCP(addr, now)
	for after, want := range map[time.Duration]bool{0: false, 59 * time.Minute: false, time.Hour: true} {
		if got := b.TakesTCP(addr, now.Add(after)); got != want {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
}
