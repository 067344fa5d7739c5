package load

// appendJSON writes a node whose numbers and keys are all plain.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case isMap:
		b = append(b, '{')
		for i := range n.fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, n.fields[i].name), ':')
			b = n.fields[i].value.appendJSON(b)
		}
		return append(b, '}')
	case isList:
		b = append(b, '[')
		for i, x := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.appendJSON(b)
		}
		return append(b, ']')
	case isString:
		return appendQuoted(b, n.text)
	case isNull:
		return append(b, "null"...)
	}
	return append(b, n.text...)
}

// appendQuoted writes text as a JSON string (RFC 8259, section 7).
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		from = i + 1
	}
	return append(append(b, s[from:]...), '"')
}
