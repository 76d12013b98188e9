/**
 * Applies the patch table to a `FileDescriptorSet`, and strips from it what only documents.
 *
 * A patch that collides with a field of the package fails the build: a newer package may
 * have brought the field itself, or given the number to something else.
 */
import { create } from '@bufbuild/protobuf'
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  EnumValueDescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
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
 * Removes custom options (validation rules, annotations) and the imports that only they
 * needed: they make up half of what a proxy would have to load at its start.
 */
export function stripOptions(set) {
  const owner = new Map([...indexTypes(set)].map(([name, { file }]) => [name, file.name]))
  for (const file of set.file) {
    const used = new Set()
    clearOptions(file)
    for (const message of file.messageType) clearMessage(message, (type) => used.add(type))
    for (const type of file.enumType) clearEnum(type)
    for (const service of file.service) {
      clearOptions(service)
      for (const method of service.method) {
        clearOptions(method)
        used.add(method.inputType).add(method.outputType)
      }
    }
    const needed = new Set([...used].map((type) => owner.get(type.slice(1))))
    file.dependency = file.dependency.filter((path) => needed.has(path))
    file.publicDependency = []
    file.weakDependency = []
  }
}

function clearMessage(message, use) {
  clearOptions(message)
  for (const field of [...message.field, ...message.extension]) {
    clearOptions(field)
    if (field.typeName !== '') use(field.typeName)
  }
  for (const oneof of message.oneofDecl) clearOptions(oneof)
  for (const nested of message.nestedType) clearMessage(nested, use)
  for (const nested of message.enumType) clearEnum(nested)
}

function clearEnum(type) {
  clearOptions(type)
  for (const value of type.value) clearOptions(value)
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
