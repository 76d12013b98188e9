/**
 * Applies the patch table to a `FileDescriptorSet`, and takes out of it what nobody uses.
 *
 * A patch that collides with a field of the package fails the build: a newer package may
 * have brought the field itself, or given the number to something else.
 */
import { create, isFieldSet } from '@bufbuild/protobuf'
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  EnumValueDescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  OneofDescriptorProtoSchema,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'
import { ENUM_VALUES, FIELDS, NEW_ENUMS, NEW_MESSAGES } from './patch-table.mjs'

const SCALARS = { bool: Type.BOOL, string: Type.STRING, uint32: Type.UINT32, bytes: Type.BYTES }

export function patchDescriptors(set) {
  const index = indexTypes(set)
  for (const [fullName, { in: parent, values }] of Object.entries(NEW_ENUMS)) {
    const name = shortName(fullName)
    const descriptor = create(EnumDescriptorProtoSchema, { name, value: values.map(enumValue) })
    adopt(index, fullName, parent, 'enumType', descriptor)
  }
  // All messages exist before any field is added: fields may refer to one another's types.
  for (const [fullName, { in: parent }] of Object.entries(NEW_MESSAGES)) {
    const descriptor = create(DescriptorProtoSchema, { name: shortName(fullName) })
    adopt(index, fullName, parent, 'nestedType', descriptor)
  }
  for (const [fullName, { fields }] of Object.entries(NEW_MESSAGES)) {
    for (const field of fields) addField(index, fullName, field)
  }
  for (const [fullName, fields] of Object.entries(FIELDS)) {
    for (const field of fields) addField(index, fullName, field)
  }
  for (const [fullName, values] of Object.entries(ENUM_VALUES)) {
    const { descriptor } = lookUp(index, fullName)
    for (const value of values) {
      const taken = descriptor.value.some((v) => v.number === value[1] || v.name === value[0])
      if (taken) throw new Error(`Cannot patch ${fullName}: value ${value} is taken`)
      descriptor.value.push(enumValue(value))
    }
  }
  sortFiles(set)
}

/**
 * Leaves only the messages that are wanted, and of the others their place: a field of such a
 * type becomes bytes, which is the same on the wire. Removes custom options (validation rules,
 * annotations) and whatever imports nobody needs any more.
 *
 * @param wanted Full names; those outside the well-known types that are not in it go.
 */
export function keepOnly(set, wanted) {
  const owner = new Map([...indexTypes(set)].map(([name, { file }]) => [name, file.name]))
  const missing = [...wanted].filter((name) => !owner.has(name))
  if (missing.length > 0)
    throw new Error(`Cannot keep ${missing.join(', ')}: there is no such message`)
  const keeps = (name) => wanted.has(name) || name.startsWith('google.protobuf.')
  const files = set.file.filter((file) => file.package !== 'google.protobuf')
  const usedAnywhere = new Set()
  for (const file of files) {
    const used = new Set()
    clearOptions(file)
    file.service = []
    file.extension = []
    file.messageType = keepMessages(file.messageType, file.package, keeps, (name) => used.add(name))
    for (const name of used) usedAnywhere.add(name)
    const needed = new Set([...used].map((name) => owner.get(name)))
    file.dependency = file.dependency.filter((path) => needed.has(path))
    file.publicDependency = []
    file.weakDependency = []
  }
  for (const file of files) {
    file.enumType = keepEnums(file.enumType, file.package, usedAnywhere)
    file.messageType = dropEmpty(file.messageType, file.package, keeps, usedAnywhere)
  }
}

function keepEnums(types, prefix, used) {
  const kept = types.filter((type) => used.has(`${prefix}.${type.name}`))
  for (const type of kept) {
    clearOptions(type)
    for (const value of type.value) clearOptions(value)
  }
  return kept
}

/** Messages that were only the place of something that is not used either. */
function dropEmpty(messages, prefix, keeps, used) {
  return messages.filter((message) => {
    const fullName = `${prefix}.${message.name}`
    message.enumType = keepEnums(message.enumType, fullName, used)
    message.nestedType = dropEmpty(message.nestedType, fullName, keeps, used)
    const isEmpty = message.nestedType.length + message.enumType.length === 0
    return !isEmpty || keeps(fullName) || (message.options?.mapEntry ?? false)
  })
}

function keepMessages(messages, prefix, keeps, use) {
  return messages.filter((message) => {
    const fullName = `${prefix}.${message.name}`
    const isMap = message.options?.mapEntry ?? false
    clearOptions(message)
    message.extension = []
    message.nestedType = keepMessages(message.nestedType, fullName, keeps, use)
    if (!isMap && !keeps(fullName)) {
      // It may still be where a message lives that is kept, or an enum that one uses.
      message.field = []
      message.oneofDecl = []
      return message.nestedType.length > 0 || message.enumType.length > 0
    }
    const maps = message.nestedType.filter((nested) => nested.options?.mapEntry)
    const own = new Set(maps.map((nested) => `${fullName}.${nested.name}`))
    for (const field of message.field) keepField(field, (name) => keeps(name) || own.has(name), use)
    for (const oneof of message.oneofDecl) clearOptions(oneof)
    addPresence(message)
    return true
  })
}

function keepField(field, keeps, use) {
  clearOptions(field)
  if (field.typeName === '') return
  const name = field.typeName.slice(1)
  if (field.type === Type.ENUM || keeps(name)) {
    use(name)
    return
  }
  field.type = Type.BYTES
  field.typeName = ''
  // A message that is set but empty is set; plain bytes could not tell.
  const single = field.label === Label.OPTIONAL && !hasOneof(field)
  if (single) field.proto3Optional = true
}

/** The index alone does not say: its default is the first oneof. */
function hasOneof(field) {
  return isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex)
}

/** proto3 spells an optional field as a oneof of its own, after all real ones. */
function addPresence(message) {
  for (const field of message.field) {
    if (!field.proto3Optional || hasOneof(field)) continue
    field.oneofIndex = message.oneofDecl.length
    message.oneofDecl.push(create(OneofDescriptorProtoSchema, { name: `_${field.name}` }))
  }
}

function clearOptions(descriptor) {
  if (descriptor.options !== undefined) descriptor.options.$unknown = undefined
}

/** Full name → its descriptor and the file that holds it. */
function indexTypes(set) {
  const index = new Map()
  const visit = (prefix, holder, file) => {
    for (const descriptor of holder.enumType)
      index.set(`${prefix}.${descriptor.name}`, { descriptor, file })
    for (const descriptor of holder.nestedType ?? holder.messageType) {
      const fullName = `${prefix}.${descriptor.name}`
      index.set(fullName, { descriptor, file })
      visit(fullName, descriptor, file)
    }
  }
  for (const file of set.file) {
    index.set(file.name, { descriptor: file, file })
    visit(file.package, file, file)
  }
  return index
}

function lookUp(index, fullName) {
  const found = index.get(fullName)
  if (found === undefined) throw new Error(`Cannot patch ${fullName}: the package has no such type`)
  return found
}

function adopt(index, fullName, parent, list, descriptor) {
  if (index.has(fullName)) throw new Error(`Cannot patch ${fullName}: the package has it already`)
  const { descriptor: holder, file } = lookUp(index, parent)
  const target = holder === file && list === 'nestedType' ? file.messageType : holder[list]
  target.push(descriptor)
  index.set(fullName, { descriptor, file })
}

function addField(index, fullName, [name, number, notation, oneof]) {
  const { descriptor, file } = lookUp(index, fullName)
  const taken = descriptor.field.find((field) => field.number === number || field.name === name)
  if (taken !== undefined) {
    throw new Error(
      `Cannot patch ${fullName}: ${name} = ${number} collides with ${taken.name} = ${taken.number}`,
    )
  }
  const repeated = notation.startsWith('repeated ')
  const type = repeated ? notation.slice('repeated '.length) : notation
  const field = create(FieldDescriptorProtoSchema, {
    name,
    number,
    label: repeated ? Label.REPEATED : Label.OPTIONAL,
    jsonName: name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()),
  })
  if (type in SCALARS) {
    field.type = SCALARS[type]
  } else {
    const typeName = type.replace(/^enum /, '')
    field.type = type === typeName ? Type.MESSAGE : Type.ENUM
    field.typeName = `.${typeName}`
    const holder = lookUp(index, typeName).file
    if (holder !== file && !file.dependency.includes(holder.name)) file.dependency.push(holder.name)
  }
  if (oneof !== undefined) {
    const position = descriptor.oneofDecl.findIndex((decl) => decl.name === oneof)
    if (position < 0) throw new Error(`Cannot patch ${fullName}: it has no oneof ${oneof}`)
    field.oneofIndex = position
  }
  descriptor.field.push(field)
}

function enumValue([name, number]) {
  return create(EnumValueDescriptorProtoSchema, { name, number })
}

function shortName(fullName) {
  return fullName.slice(fullName.lastIndexOf('.') + 1)
}

/** Generators want every file after its imports; a patch may have added an import that comes later. */
function sortFiles(set) {
  const byName = new Map(set.file.map((file) => [file.name, file]))
  const sorted = new Set()
  const visit = (file, path) => {
    if (sorted.has(file)) return
    if (path.includes(file)) throw new Error(`Cannot patch: ${file.name} would import itself`)
    for (const name of file.dependency) visit(byName.get(name), [...path, file])
    sorted.add(file)
  }
  for (const file of set.file) visit(file, [])
  set.file = [...sorted]
}
