package main

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// objectJSON is a message for programs: the names of its .proto, every scalar and list present, absent
// messages left out. It differs from protojson in one thing: numbers of 64 bits are numbers. As strings they
// compare wrongly in jq without a word.
func objectJSON(m proto.Message) (json.RawMessage, error) {
	return appendMessage(nil, m.ProtoReflect())
}

func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	if m.Descriptor().FullName().Parent() == "google.protobuf" {
		text, err := protojson.Marshal(m.Interface()) // a time or a duration: one JSON string
		return append(b, text...), err
	}
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	comma := false
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Kind() == protoreflect.MessageKind && !field.IsList() && !m.Has(field) {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(append(append(b, '"'), field.Name()...), `":`...)
		var err error
		if b, err = appendField(b, field, m.Get(field)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	if !field.IsList() {
		return appendValue(b, field, value)
	}
	b = append(b, '[')
	for i := range value.List().Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, field, value.List().Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendValue writes a message, the name of an enum's value, or a scalar, which encoding/json writes as it is.
func appendValue(b []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	if field.Kind() == protoreflect.EnumKind {
		if named := field.Enum().Values().ByNumber(value.Enum()); named != nil {
			return append(append(append(b, '"'), named.Name()...), '"'), nil
		}
	}
	if m, ok := value.Interface().(protoreflect.Message); ok {
		return appendMessage(b, m)
	}
	text, err := json.Marshal(value.Interface())
	return append(b, text...), err
}
