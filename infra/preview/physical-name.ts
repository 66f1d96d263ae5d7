/** Inputs that name a resource in Azure where neither `name` nor a word of its type does. */
const OTHER_NAME_INPUTS = ['name', 'resourceName', 'ruleName', 'clusterName'];

/**
 * Input that holds the name of an azure-native resource in Azure, for example `queueName` of a Queue and `accountName`
 * of a StorageAccount. Undefined: the provider makes a name.
 */
export function nameInputOf(type: string, inputs: Readonly<Record<string, unknown>>): string | undefined {
  const words = type.slice(type.lastIndexOf(':') + 1).match(/[A-Z][a-z0-9]*/g) ?? [];
  const ofType = words.map((_, at) => {
    const tail = words.slice(at).join('');
    return `${tail.charAt(0).toLowerCase()}${tail.slice(1)}Name`;
  });
  return [...ofType, ...OTHER_NAME_INPUTS].find((input) => inputs[input] !== undefined);
}
