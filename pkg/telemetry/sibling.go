package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/mss-federation/mss/pkg/fault"
)

// askTimeout bounds a question to a sibling: a scrape and a probe must not wait for a process that hangs.
const askTimeout = time.Second

// maxAnswer bounds what a sibling may say, in bytes.
const maxAnswer = 8 << 20

// Sibling is another process of the same node, asked through the Unix socket of its [Server].
type Sibling struct {
	name   string
	client *http.Client
}

// NewSibling names a process and its socket. Nothing is asked yet.
func NewSibling(name, socket string) *Sibling {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Sibling{name: name, client: &http.Client{
		Timeout: askTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Name is the process's.
func (s *Sibling) Name() string { return s.name }

// Alive is nil while the process lives, by its own word.
func (s *Sibling) Alive() error {
	_, _, err := s.ask(http.MethodGet, "/healthz", "")
	return err
}

// SetLogLevel changes how much the process logs.
func (s *Sibling) SetLogLevel(level string) error {
	_, _, err := s.ask(http.MethodPut, "/log-level", level)
	return err
}

// Gather is the sibling's metrics, and whether it answered. It never fails: a node whose one process is away has the
// metrics of the others to show.
func (s *Sibling) Gather() ([]*dto.MetricFamily, error) {
	families, err := s.families()
	up := 1.0
	if err != nil {
		families, up = nil, 0
	}
	return append(families, &dto.MetricFamily{
		Name: new("mss_process_up"), Help: new("Whether the process answers."), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{
			Label: []*dto.LabelPair{{Name: new("process"), Value: new(s.name)}},
			Gauge: &dto.Gauge{Value: new(up)},
		}},
	}), nil
}

func (s *Sibling) families() ([]*dto.MetricFamily, error) {
	text, header, err := s.ask(http.MethodGet, "/metrics", "")
	if err != nil {
		return nil, err
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(text), expfmt.ResponseFormat(header))
	var all []*dto.MetricFamily
	for {
		family := &dto.MetricFamily{}
		switch err := decoder.Decode(family); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, family)
	}
}

// ask makes one request.
func (s *Sibling) ask(method, path, body string) ([]byte, http.Header, error) {
	op := "ask the " + s.name + " process"
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.name+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	response, err := s.client.Do(req)
	if err != nil {
		return nil, nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: errors.New("it does not answer: if it does not come back within seconds, see the log")}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, fault.New(op, fault.Unavailable, path, fmt.Sprintf("it answers %d: %s", response.StatusCode, bytes.TrimSpace(text)))
	}
	return text, response.Header, nil
}

var _ prometheus.Gatherer = (*Sibling)(nil)
