// Package telemetry serves what machines ask of a process: metrics, whether it lives and is ready, and profiles. A
// [Set] holds the metrics of one process; each reads a counter that its owner keeps anyway, at the time of a scrape, so
// that a call pays nothing for them. [Server] answers over HTTP: /healthz, /readyz and /metrics wherever the operator
// wants them, /debug/pprof and the log level on a Unix socket alone. A process that holds no port of its own is asked
// through its socket: see [Sibling]. What is counted is the business of who counts it. Start at [New].
package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Set holds the metrics of one process. They are added before the process serves; reading is safe at any time.
type Set struct {
	registry *prometheus.Registry
}

// New makes the set of a process of that name, such as signal. What every process has (memory, collector of garbage,
// goroutines, descriptors) is in it, by the names that Prometheus has for that, with a label process.
func New(process, version string) *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	named := prometheus.WrapRegistererWith(prometheus.Labels{"process": process}, s.registry)
	named.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mss_build_info", Help: "The build of the process; always 1.",
			ConstLabels: prometheus.Labels{"version": version},
		}, func() float64 { return 1 }),
	)
	return s
}

// Number is what a metric can be read as.
type Number interface {
	~int | ~int32 | ~int64 | ~uint32 | ~uint64 | ~float64
}

// Counter adds something that only grows while the process lives. The name ends in _total.
func Counter[N Number](s *Set, name, help string, read func() N) {
	s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) }))
}

// Gauge adds something that goes up and down.
func Gauge[N Number](s *Set, name, help string, read func() N) {
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(read()) }))
}

// Emit gives one value with those of its labels, in the order of their names.
type Emit func(value float64, labels ...string)

// Counters adds a counter for each set of values that its labels have at a scrape. Whoever reads bounds how many.
func (s *Set) Counters(name, help string, labels []string, read func(Emit)) {
	s.registry.MustRegister(&family{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, read})
}

// Gauges is [Set.Counters] for what goes up and down.
func (s *Set) Gauges(name, help string, labels []string, read func(Emit)) {
	s.registry.MustRegister(&family{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, read})
}

// family is a metric whose labels are known only when it is read.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(Emit)
}

// Describe tells the registry the name.
func (f *family) Describe(to chan<- *prometheus.Desc) { to <- f.desc }

// Collect reads the values.
func (f *family) Collect(to chan<- prometheus.Metric) {
	f.read(func(value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	})
}
