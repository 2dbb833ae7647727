package nodelink

import (
	"net/netip"
	"testing"

	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	four = netip.MustParseAddrPort("192.0.2.1:5061")
	six  = netip.MustParseAddrPort("[2001:db8::1]:5061")
)

// bothFamilies is a hub with an address of each IP version.
func bothFamilies(first netip.AddrPort, also ...netip.AddrPort) []Target {
	return []Target{{Node: "hub/a", Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: first}, Also: also}}
}

// wantRemote looks where the target is dialled.
func wantRemote(t *testing.T, b *bench, want netip.AddrPort) {
	t.Helper()
	if got := b.targets["hub/a"].remote; got != want {
		t.Errorf("%v is dialled, want %v", got, want)
	}
}

func TestOtherAddressIsDialledAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.do(b.setTargets(bothFamilies(four, six), b.now))
	b.until(0.05)
	wantRemote(t, b, four)
	b.close(1, "hub/a")
	b.until(0.1)
	wantRemote(t, b, six)
	b.close(2, "hub/a")
	b.until(0.4)
	wantRemote(t, b, four)
	b.want(t, "0.05 dial hub/a #1", "0.10 dial hub/a #2", "0.30 dial hub/a #3") // the second round waits as one address does
}

func TestSilentAddressIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.do(b.setTargets(bothFamilies(four, six), b.now))
	b.until(2.1)
	b.close(1, "hub/a")
	b.until(2.2)
	b.want(t, "0.05 dial hub/a #1", "2.05 hang up #1", "2.15 dial hub/a #2")
	wantRemote(t, b, six)
	b.do(b.setTargets(bothFamilies(six), b.now)) // the only one has the endpoint's time
	b.until(4.9)
	b.want(t)
}

func TestAddressThatWorkedIsDialledAgain(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.do(b.setTargets(bothFamilies(four, six), b.now))
	b.until(0.05)
	b.close(1, "hub/a")
	b.until(0.1)
	b.open(2, "hub/a", true)
	b.close(2, "hub/a") // at once, as a hub does with who may not be there yet
	wantRemote(t, b, six)
	b.until(0.4)
	b.open(3, "hub/a", true)
	for range 60 {
		b.heard[3] = b.now
		b.until(b.now.Sub(began).Seconds() + 0.1)
	}
	b.close(3, "hub/a")
	wantRemote(t, b, six)
	b.until(b.now.Sub(began).Seconds() + 0.05)
	b.close(4, "hub/a") // now it is not there any more
	wantRemote(t, b, four)
}

func TestLinkStaysWhileItsAddressIsListed(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.do(b.setTargets(bothFamilies(four, six), b.now))
	b.until(0.05)
	b.open(1, "hub/a", true)
	b.log = nil
	b.do(b.setTargets(bothFamilies(six, four), b.now)) // the same, as a resolver turns them
	b.do(b.setTargets(bothFamilies(four), b.now))
	b.until(0.5)
	b.want(t)
	b.do(b.setTargets(bothFamilies(six), b.now))
	b.until(0.55)
	b.want(t, "0.50 hang up #1", "0.55 dial hub/a #2")
	wantRemote(t, b, six)
}
