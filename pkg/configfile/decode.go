package configfile

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decoder puts a YAML tree into Go values. It takes the text of each scalar as it is written, so that a number that is
// dialled (0044) or a password (1e5) is never anything but that text, and it has no anchors, aliases, tags or merge
// keys.
type decoder struct {
	file     string
	problems []error
	places   map[string]place
}

func (d *decoder) fail(node ast.Node, key, format string, args ...any) {
	where := placeOf(node.GetToken())
	d.problems = append(d.problems, &Problem{
		File: d.file, Line: where.line, Column: where.column, Key: key, Text: fmt.Sprintf(format, args...),
	})
}

// value decodes one node. A null leaves dst as it is: the key is as good as absent.
func (d *decoder) value(node ast.Node, dst reflect.Value, key string) {
	d.place(node, key)
	switch node := node.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fail(node, key, "anchors, aliases and tags are not supported; write the value itself")
		return
	case ast.MapNode:
		d.mapping(node, dst, key)
		return
	case *ast.SequenceNode:
		d.sequence(node, dst, key)
		return
	}
	if dst.Type() == reflect.TypeFor[Addresses]() { // one needs no brackets
		dst.Set(reflect.MakeSlice(dst.Type(), 1, 1))
		dst = dst.Index(0)
	}
	text, ok := scalarText(node)
	if !ok {
		d.fail(node, key, "a %s cannot stand here", strings.ToLower(node.Type().String()))
		return
	}
	if err := setScalar(dst, text); err != nil {
		d.fail(node, key, "%s", err)
	}
}

// place notes where the value stands: a group of keys at the key that it belongs to or, in a list, at its first one.
func (d *decoder) place(node ast.Node, key string) {
	_, known := d.places[key]
	group, isGroup := node.(ast.MapNode)
	switch {
	case !isGroup:
		d.places[key] = placeOf(node.GetToken())
	case !known:
		if it := group.MapRange(); it.Next() {
			d.places[key] = placeOf(it.Key().GetToken())
		}
	}
}

func (d *decoder) mapping(node ast.MapNode, dst reflect.Value, key string) {
	at, _ := node.(ast.Node)
	switch {
	case isScalar(dst.Type()) || dst.Kind() != reflect.Struct && dst.Kind() != reflect.Map:
		d.fail(at, key, "%s is wanted here, not keys", wanted(dst.Type()))
	case dst.Kind() == reflect.Struct:
		d.structure(node, dst, key)
	default:
		d.table(node, dst, key)
	}
}

func (d *decoder) structure(node ast.MapNode, dst reflect.Value, key string) {
	fields := Keys(dst.Type())
	for it := node.MapRange(); it.Next(); {
		name, ok := scalarText(it.Key())
		if !ok {
			d.fail(it.Key(), key, "merge keys are not supported; write the keys themselves")
			continue
		}
		index, ok := fields.index[name]
		if !ok {
			d.fail(it.Key(), "", "unknown key %q%s; %s", name, inside(key), fields.advice(name))
			continue
		}
		child := joinKey(key, name)
		d.places[child] = placeOf(it.Key().GetToken())
		d.value(it.Value(), dst.Field(index), child)
	}
}

func (d *decoder) table(node ast.MapNode, dst reflect.Value, key string) {
	dst.Set(reflect.MakeMap(dst.Type()))
	for it := node.MapRange(); it.Next(); {
		name, ok := scalarText(it.Key())
		if !ok {
			d.fail(it.Key(), key, "merge keys are not supported; write the keys themselves")
			continue
		}
		k := reflect.New(dst.Type().Key()).Elem()
		if err := setScalar(k, name); err != nil {
			d.fail(it.Key(), key, "%s", err)
			continue
		}
		v := reflect.New(dst.Type().Elem()).Elem()
		d.value(it.Value(), v, joinKey(key, name))
		dst.SetMapIndex(k, v)
	}
}

func (d *decoder) sequence(node *ast.SequenceNode, dst reflect.Value, key string) {
	if dst.Kind() != reflect.Slice || isScalar(dst.Type()) {
		d.fail(node, key, "%s is wanted here, not a list", wanted(dst.Type()))
		return
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(node.Values), len(node.Values)))
	for i, v := range node.Values {
		d.value(v, dst.Index(i), key+"["+strconv.Itoa(i)+"]")
	}
}

func joinKey(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func inside(key string) string {
	if key == "" {
		return ""
	}
	return " in " + key
}

// scalarText is the text of a scalar as the file has it.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// isScalar says whether one text makes the whole value.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return false
	default:
		return true
	}
}

// setScalar is all there is to the syntax of single values. Its errors say what would be right.
func setScalar(dst reflect.Value, text string) error {
	if !isScalar(dst.Type()) {
		return fmt.Errorf("%q: %s is wanted here", text, wanted(dst.Type()))
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](dst.Addr()); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return explain(dst.Type(), text, err)
		}
		return nil
	}
	if err := setPlain(dst, text); err != nil {
		return fmt.Errorf("%q: %s is wanted here", text, wanted(dst.Type()))
	}
	return nil
}

func setPlain(dst reflect.Value, text string) (err error) {
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		var v bool
		v, err = parseBool(text)
		dst.SetBool(v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var v int64
		if dst.Type() == reflect.TypeFor[time.Duration]() {
			var span time.Duration
			span, err = time.ParseDuration(text)
			v = int64(span)
		} else {
			v, err = strconv.ParseInt(text, 10, dst.Type().Bits())
		}
		dst.SetInt(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var v uint64
		v, err = strconv.ParseUint(text, 10, dst.Type().Bits())
		dst.SetUint(v)
	case reflect.Float32, reflect.Float64:
		var v float64
		v, err = strconv.ParseFloat(text, dst.Type().Bits())
		dst.SetFloat(v)
	default:
		err = errors.ErrUnsupported
	}
	return err
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

// explain says what would be right where a type of the standard library only says that something is wrong.
func explain(t reflect.Type, text string, err error) error {
	switch t {
	case reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]():
		return fmt.Errorf("%q: %s is wanted here", text, wanted(t))
	}
	return err
}

// wanted names what a type takes, for people.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a time with its unit, such as 500ms, 20s or 5m,"
	case reflect.TypeFor[netip.AddrPort]():
		return "an address with a port, such as 192.0.2.1:5060 or [2001:db8::1]:5060,"
	case reflect.TypeFor[netip.Addr]():
		return "an address, such as 192.0.2.1 or 2001:db8::1,"
	case reflect.TypeFor[netip.Prefix]():
		return "a network, such as 192.0.2.0/24,"
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		if !isScalar(t) {
			return "a group of keys"
		}
		return "a single value"
	case reflect.Slice:
		return "a list"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from zero"
	default:
		return "a whole number"
	}
}
