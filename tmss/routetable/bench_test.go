package routetable

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/mss-federation/mss/pkg/federation"
)

// fill makes a table of so many numbers of seven digits in blocks, with two paths each, as two hubs tell
// them.
func fill(routes, ring int) *Table {
	table := New(Options{Self: "hub/self", Epoch: 1, Ring: ring})
	for i, hub := range []federation.NodeID{"hub/a", "hub/b"} {
		shared := make([]*federation.Attributes, 100)
		for s := range shared {
			node := federation.NodeID(fmt.Sprintf("site/s%02d", s))
			shared[s] = &federation.Attributes{
				Origin:  federation.Origin{Node: node, Site: federation.SiteID(node[5:]), Epoch: 1},
				AdvPath: []federation.PathElement{{Node: node, Epoch: 1}, {Node: hub, Epoch: 1}}, RoutedPath: []federation.NodeID{node, hub},
				NextHops: []federation.NextHop{{Node: hub}}, Cost: uint32(i),
			}
		}
		random := rand.New(rand.NewPCG(1, 1))
		batch := make([]Change, 0, 512)
		for k := range routes {
			key := fmt.Sprintf("1555%07d", random.IntN(10_000_000))
			batch = append(batch, Change{
				Op: Announce, Neighbour: hub, Decision: Decision{Authority: Valid, LocalPref: DefaultLocalPref},
				Route: federation.Route{
					NLRI:   federation.NLRI{Domain: "example.org", Family: federation.E164, Key: key, MinLen: 11, MaxLen: 11},
					PathID: 1, Attributes: shared[k%len(shared)], Revisions: []uint64{uint64(k), uint64(k)},
				},
			})
			if len(batch) == cap(batch) || k == routes-1 {
				table.Apply(noon, batch...)
				batch = batch[:0]
			}
		}
	}
	return table
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory tells the bytes of a route with two paths, and those of the change ring, which does not
// grow with the table. 1 M routes must fit into 600 MB.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		before := heap()
		table := fill(100_000, 1)
		routes, _ := table.Snapshot().Routes()
		without := heap() - before
		b.ReportMetric(float64(without)/float64(routes), "B/route")
		runtime.KeepAlive(table)
		before = heap()
		ringed := fill(100_000, DefaultRing)
		b.ReportMetric(float64(heap()-before-without)/1e6, "MB/ring")
		runtime.KeepAlive(ringed)
	}
}

func BenchmarkLookup(b *testing.B) {
	table := fill(100_000, DefaultRing)
	numbers := make([]federation.Number, 0, 4096)
	for e := range table.Snapshot().All() {
		if numbers = append(numbers, federation.Number("+"+e.NLRI.Key)); len(numbers) == cap(numbers) {
			break
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if m := table.Lookup(numbers[i%len(numbers)]); len(m.Paths) != 2 {
			b.Fatal(m)
		}
	}
}

func BenchmarkChange(b *testing.B) {
	table := fill(100_000, DefaultRing)
	c := site("l", federation.NLRI{Domain: "example.org", Family: federation.E164, Key: "1555", MinLen: 11, MaxLen: 11})
	gone := c
	gone.Op = Withdraw
	b.ReportAllocs()
	for b.Loop() {
		table.Apply(noon, c)
		table.Apply(noon, gone)
	}
}
