package routetable

import (
	"testing"
)

// BenchmarkFill is the cost of one announcement in a full sync: batches of 512 into a table that grows to
// 100 k routes.
func BenchmarkFill(b *testing.B) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		fill(100_000, DefaultRing)
		n += 200_000
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/announcement")
}
